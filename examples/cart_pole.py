"""Learns to balance a pole on a cart, by proximal policy optimization.

The cart is pushed left or right 50 times a second; an episode ends when the pole leans by more than 12
degrees, the cart is 2.4 m off, or after 500 steps (Barto, Sutton, Anderson 1983, with the constants of
Gymnasium's CartPole-v1). Eight carts run side by side. Every 32 steps, a policy and a value function learn
from what happened (Schulman et al. 2017). Prints how long the pole stays up in 100 new episodes, and writes
cart_pole.png: lengths of the episodes while it learns, and a new one.

    python examples/cart_pole.py [--steps 100000] [--seed 0] [--out FOLDER]
"""

import argparse
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bpcore as bp
from bpcore import nn, ops, optim, schedules

CARTS, HORIZON, EPOCHS, BATCH = 8, 32, 20, 256
LONGEST = 500  # steps of an episode
DISCOUNT, LAMBDA = 0.98, 0.8  # of rewards; of the advantages' estimates
CLIP = 0.2  # how far a probability may move in one round


class Carts:
    """`count` carts with poles: `state` (count, 4) is place, speed, angle and its speed, in m and radians."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.state = rng.uniform(-0.05, 0.05, (count, 4))
        self.lengths = np.zeros(count, int)  # steps of the episodes so far

    def push(self, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One step with 10 N to the left (0) or right (1); whose pole fell, and whose time is up."""
        _, speed, angle, turning = self.state.T
        cart, pole, half_length, gravity, seconds = 1.0, 0.1, 0.5, 9.8, 0.02
        sin, cos = np.sin(angle), np.cos(angle)
        push = (np.where(action == 1, 10.0, -10.0) + pole * half_length * turning**2 * sin) / (cart + pole)
        inertia = half_length * (4 / 3 - pole * cos**2 / (cart + pole))
        turn = (gravity * sin - cos * push) / inertia
        acceleration = push - pole * half_length * turn * cos / (cart + pole)
        change = np.stack([speed, acceleration, turning, turn], 1)
        self.state = self.state + seconds * change
        self.lengths += 1
        fallen = (np.abs(self.state[:, 0]) > 2.4) | (np.abs(self.state[:, 2]) > np.radians(12))
        return fallen, (self.lengths >= LONGEST) & ~fallen

    def begin_again(self, which: np.ndarray) -> None:
        """New episodes of the carts that the mask `which` says."""
        self.state[which] = self.rng.uniform(-0.05, 0.05, (which.sum(), 4))
        self.lengths[which] = 0


class ActorCritic(nn.Module):
    """States (batch, 4) -> logits of the actions (batch, 2), expected rewards (batch,)."""

    def __init__(self) -> None:
        self.policy = nn.Sequential(nn.Dense(64, "tanh"), nn.Dense(64, "tanh"), nn.Dense(2))
        self.value = nn.Sequential(nn.Dense(64, "tanh"), nn.Dense(64, "tanh"), nn.Dense(1))

    def __call__(self, state):
        return self.policy(state), self.value(state)[:, 0]


def objective(model, state, action, chance, advantage, reward):
    """The clipped surrogate of the policy, and the squared error of the value; `chance` is a logarithm."""
    logits, value = model(state)
    chances = ops.sum(ops.log_softmax(logits) * ops.one_hot(action, 2), axis=-1)
    ratio = ops.exp(chances - chance)
    gain = ops.minimum(ratio * advantage, ops.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    return ops.mean(0.5 * ops.square(value - reward) - gain)


def log_chances(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the actions' probabilities."""
    return np.asarray(ops.log_softmax(logits))


def advantages(reward: np.ndarray, value: np.ndarray, over: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Generalized advantage estimates (Schulman et al. 2016) of (steps, carts); `after` the last step."""
    result, sum_so_far = np.empty_like(reward), np.zeros(reward.shape[1])
    for step in reversed(range(len(reward))):
        going = ~over[step]
        surprise = reward[step] + DISCOUNT * going * after - value[step]
        sum_so_far = surprise + DISCOUNT * LAMBDA * going * sum_so_far
        result[step], after = sum_so_far, value[step]
    return result


def learn(steps: int, seed: int) -> tuple[bp.Trainer, list[tuple[int, int]]]:
    """Trains for so many steps of all carts together; also (steps so far, length) of each episode."""
    rng = np.random.default_rng(seed)
    rounds = steps // (CARTS * HORIZON)
    model = ActorCritic()
    updates = rounds * EPOCHS * -(-CARTS * HORIZON // BATCH)
    rate = schedules.Linear(1e-3, updates, start_factor=1.0, end_factor=0.0)
    trainer = bp.Trainer(model, objective=objective, optimizer=optim.Adam(rate), clip_norm=0.5, seed=seed)
    carts, episodes = Carts(CARTS, rng), []
    for number in range(rounds):
        taken = []
        for step in range(HORIZON):
            state = carts.state
            logits, value = trainer.predict(state)
            chances = log_chances(logits)
            action = (rng.random(CARTS) < np.exp(chances[:, 1])).astype(int)
            fallen, late = carts.push(action)
            reward = np.ones(CARTS)
            if late.any():  # the pole would have stayed up: what would have followed counts
                reward[late] += DISCOUNT * trainer.predict(carts.state[late])[1]
            over = fallen | late
            done = (number * HORIZON + step + 1) * CARTS
            episodes += [(done, int(length)) for length in carts.lengths[over]]
            carts.begin_again(over)
            taken.append((state, action, chances[np.arange(CARTS), action], value, reward, over))
        states, actions, chances, values, rewards, overs = map(np.array, zip(*taken, strict=True))
        gains = advantages(rewards, values, overs, trainer.predict(carts.state)[1])
        batch = (states, actions, chances, (gains - gains.mean()) / (gains.std() + 1e-8), gains + values)
        flat = tuple(each.reshape(-1, *each.shape[2:]) for each in batch)
        trainer.fit(flat, epochs=EPOCHS, batch_size=BATCH, progress=False)
    return trainer, episodes


def balance(trainer: bp.Trainer, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lengths of `count` episodes in which the likelier action is taken, and the first one's states."""
    carts = Carts(count, np.random.default_rng(seed))
    lengths, states = np.full(count, LONGEST), []
    standing = np.ones(count, bool)
    for step in range(LONGEST):
        if standing[0]:
            states.append(carts.state[0])
        fallen, _ = carts.push(trainer.predict(carts.state)[0].argmax(1))
        lengths[standing & fallen] = step + 1
        standing &= ~fallen
    return lengths, np.array(states)


def draw(episodes: list[tuple[int, int]], states: np.ndarray, path: Path) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(*np.transpose(episodes), ".", markersize=3)
    left.set(xlabel="steps of all carts", ylabel="steps until the pole fell", title="while it learns")
    seconds = 0.02 * np.arange(len(states))
    right.plot(seconds, states[:, 0], label="place of the cart (m)")
    right.plot(seconds, np.degrees(states[:, 2]), label="angle of the pole (degrees)")
    right.set(xlabel="seconds", title="afterwards")
    right.legend()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to balance a pole on a cart.")
    parser.add_argument("--steps", type=int, default=100_000, help="of all carts together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    if options.steps < CARTS * HORIZON:
        parser.error(f"--steps must be at least {CARTS * HORIZON}")
    begin = time.perf_counter()
    trainer, episodes = learn(options.steps, options.seed)
    print(f"{time.perf_counter() - begin:.1f} s for {options.steps} steps, {trainer.steps} updates")
    lengths, states = balance(trainer, 100, options.seed + 1)
    print(f"the pole stayed up for {lengths.mean():.1f} steps of {LONGEST}, at worst {lengths.min()}")
    options.out.mkdir(parents=True, exist_ok=True)
    draw(episodes, states, options.out / "cart_pole.png")


if __name__ == "__main__":
    main()
