"""The loops that torch's users write, over the network of a job and over a sparse table."""

from __future__ import annotations

from typing import Any

from paces import Run, adapting
from peer_jobs import HORIZON, MOMENTUM, RATE, WIDTH, Job


def torch_eager(given: Job) -> Run:
    """The loop that torch's tutorials write, with the data in a tensor."""
    import torch
    from torch import nn

    declared, train = given.declared.model, given.data.train
    inputs = torch.from_numpy(train.inputs.transpose(0, 3, 1, 2).copy())
    labels = torch.from_numpy(train.labels.astype("int64"))
    layers: list[Any] = []
    for filters in getattr(declared, "filters", ()):
        side = declared.kernel_size
        layers += [nn.LazyConv2d(filters, side, padding="same"), nn.ReLU(), nn.MaxPool2d(2)]
    layers.append(nn.Flatten())
    for width in declared.hidden:
        layers += [nn.LazyLinear(width), nn.ReLU()]
    model = nn.Sequential(*layers, nn.LazyLinear(int(train.labels.max()) + 1))
    model(inputs[:1])  # the lazy layers learn their shapes
    rule = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(rule, HORIZON)
    loss_of = nn.CrossEntropyLoss()

    def call(step: int, count: int) -> None:
        for chosen in torch.from_numpy(given.stream.indices(step, count)).long():
            rule.zero_grad()
            loss = loss_of(model(inputs[chosen]), labels[chosen])
            loss.backward()
            rule.step()
            schedule.step()
        loss.item()

    return adapting(call)


def torch_sparse(given: Job) -> Run:
    """A sparse table in torch, whose gradient and update have the rows that a batch looks up."""
    import torch
    from torch import nn

    train, kind = given.data.train, given.declared.optimizer.kind
    inputs = torch.from_numpy(train.inputs[:].astype("int64"))
    labels = torch.from_numpy(train.labels[:].astype("float32")).reshape(len(train), 1)
    vocabulary = given.declared.data.kwargs["vocabulary"]
    table, head = nn.Embedding(vocabulary, WIDTH, sparse=True), nn.Linear(WIDTH, 1)
    both = [*table.parameters(), *head.parameters()]
    rules = {
        "sgd": lambda: [torch.optim.SGD(both, lr=RATE)],
        "adagrad": lambda: [torch.optim.Adagrad(both, lr=RATE)],
        "adam": lambda: [
            torch.optim.SparseAdam(list(table.parameters()), lr=RATE),
            torch.optim.Adam(head.parameters(), lr=RATE),
        ],
    }[kind]()
    schedules = [torch.optim.lr_scheduler.CosineAnnealingLR(rule, HORIZON) for rule in rules]
    loss_of = nn.MSELoss()

    def call(step: int, count: int) -> None:
        for chosen in torch.from_numpy(given.stream.indices(step, count)).long():
            for rule in rules:
                rule.zero_grad()
            loss = loss_of(head(table(inputs[chosen]).mean(1)), labels[chosen])
            loss.backward()
            for rule in rules:
                rule.step()
            for schedule in schedules:
                schedule.step()
        loss.item()

    return adapting(call)
