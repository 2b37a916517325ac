"""A request survives being written, and names all tensors of a step in one order."""

import pytest
import torch
from torch import nn

from lightlab.batch import Batch, Mixed
from lightlab.compiled.request import Request, batch_tensors, describe, layouts, state_tensors, step_tensors
from lightlab.compiled.trace import build_model


def test_survives_writing(asked, tmp_path):
    """What is read back asks for the same model, data and batches."""
    request, batches = asked
    request.write(tmp_path)
    read = Request.read(tmp_path)
    assert [each.shape for each in read.example()] == [each.shape for each in batch_tensors(batches[0])] * 2
    assert [each.dtype for each in read.example()] == [torch.float32, torch.int64] * 2
    one, other = build_model(request), build_model(read)
    assert one.data_spec == other.data_spec
    assert one.optimizer_spec == other.optimizer_spec
    assert [name for name, each in other.named_parameters() if not each.requires_grad] == request.frozen


def test_numbers_that_json_has_not(asked, tmp_path):
    """Statistics that are not finite come back as they were."""
    request, _ = asked
    strange = request.data_spec["input"] | {"offset": (float("nan"), float("inf"))}
    Request(**vars(request) | {"data_spec": {"input": strange}}).write(tmp_path)
    assert str(Request.read(tmp_path).data_spec["input"]["offset"]) == "[nan, inf]"


def test_mixed_batches():
    """Partners and weights of mixed rows are part of what a step computes with; places are not."""
    mixed = Mixed(torch.arange(3), torch.rand(3))
    batch = Batch(torch.zeros(3, 2, dtype=torch.uint8), torch.zeros(3), torch.arange(3), 3, mixed)
    expected = [([3, 2], "uint8"), ([3], "float32"), ([3], "int64"), ([3], "float32")]
    assert describe(batch_tensors(batch)) == expected


def test_all_that_moves(asked):
    """Trained weights, frozen ones, buffers of layers and head, and the state of each trained weight; no metrics."""
    request, batches = asked
    model = build_model(request)
    optimizer = model.optimizer_spec.build(model.parameters())
    _, losses, _ = model.evaluate(batches[0])
    losses.mean().backward()
    optimizer.step()
    found = {each.data_ptr() for each in step_tensors(model, optimizer)}
    parts = [model.preprocess, model.network, model.head]
    assert all(each.data_ptr() in found for part in parts for each in part.state_dict().values())
    assert all(each.data_ptr() in found for state in optimizer.state.values() for each in state.values())
    trained = [each for each in model.parameters() if each.requires_grad]
    assert len(step_tensors(model, optimizer)) == 4 * len(trained) + 1 + len(list(model.buffers())) - 3


def test_state_that_is_no_tensor():
    """An optimizer that counts in Python's numbers is refused."""
    weight = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], momentum=0.9)
    optimizer.state[weight] = {"momentum_buffer": None}
    assert state_tensors([weight], optimizer) == []
    optimizer.state[weight] = {"count": 3}
    with pytest.raises(ValueError, match="SGD keeps something else than tensors"):
        state_tensors([weight], optimizer)


def test_layouts_tell_what_machine_code_relies_on():
    """Two tensors with the same shape and numbers differ where they lie otherwise in memory."""
    plain = torch.zeros(2, 3, 4, 4)
    assert layouts([plain]) == [[[2, 3, 4, 4], "torch.float32", [48, 16, 4, 1], "cpu"]]
    assert layouts([plain]) != layouts([plain.to(memory_format=torch.channels_last)])
