import csv

from tensorboardX.proto import event_pb2

from mubert_jax.training.curves import plot_training
from mubert_jax.training.writers import MetricsWriter, read_metrics


def write(folder, start, steps):
    with MetricsWriter(folder, start) as writer:
        for step in steps:
            writer.write(step, {"loss": 1.0 / step, "reconstruction": 0.5})


def test_rows_after_the_last_checkpoint_are_written_once(tmp_path):
    write(tmp_path, 0, range(1, 9))
    with (tmp_path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 9, "lo')
    write(tmp_path, 5, range(6, 8))
    assert [row["step"] for row in read_metrics(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    with (tmp_path / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    assert float(rows[3]["loss"]) == 0.25


def test_columns_that_come_later_are_in_the_csv(tmp_path):
    with MetricsWriter(tmp_path, 0) as writer:
        writer.write(1, {"loss": 1.0})
        writer.write(2, {"loss": 0.5, "pairs_per_second": 9.0})
    with (tmp_path / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["pairs_per_second"] == "" and rows[1]["pairs_per_second"] == "9.0"


def test_tensorboard_events_hold_the_scalars(tmp_path):
    write(tmp_path, 0, [1, 2])
    (path,) = tmp_path.glob("events.*")
    data, offset, scalars = path.read_bytes(), 0, []
    while offset < len(data):
        length = int.from_bytes(data[offset : offset + 8], "little")
        event = event_pb2.Event.FromString(data[offset + 12 : offset + 12 + length])
        scalars += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        offset += length + 16
    assert (2, "loss", 0.5) in scalars


def test_training_picture(tmp_path):
    write(tmp_path, 0, range(1, 9))
    assert plot_training(tmp_path).stat().st_size > 10_000
