"""What our producers send: small records plain, large ones compressed."""

import pytest
from aiokafka.structs import TopicPartition

from ledger.kafka.connect import SMALL, new_producer

PLACE = TopicPartition("commands", 0)
ATTRIBUTES = 22  # the lower byte of the attributes of a batch: its last three bits name the compression
ZSTD = 4


@pytest.mark.parametrize(("size", "compression"), [(1, 0), (SMALL - 1, 0), (SMALL, ZSTD), (100_000, ZSTD)])
async def test_a_batch_is_compressed_if_the_record_that_opens_it_is_large(size: int, compression: int) -> None:
    producer = new_producer("127.0.0.1:9")
    await producer._message_accumulator.add_message(PLACE, None, b"x" * size, 1.0)
    [batch] = producer._message_accumulator._batches[PLACE]
    batch.set_producer_state(producer_id=1, producer_epoch=0, base_sequence=0)
    assert batch.get_data_buffer()[ATTRIBUTES] & 7 == compression
    producer._closed = True  # it was never started
