from processors.control.entry import main

main()
