"""Scenes and training: the protocol to the letter, gradients of the whole, exact resuming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from spikecore import BackendUnavailable, FileRefused, InvalidInput, UnknownName
from spikecore.motifs import DelayKernel
from spikecore.motifs.bank import ImageBank
from spikecore.motifs.dense import DelayConv
from spikecore.motifs.images import draw_shapes, load_images, standardise, whiten
from spikecore.motifs.kernel import causal_mask
from spikecore.motifs.labels import MotionClasses
from spikecore.motifs.protocol import score
from spikecore.motifs.recorded import RecordedScenes
from spikecore.motifs.scenes import (
    LadderScenes,
    NaturalScenes,
    difference_events,
)
from spikecore.motifs.textures import gratings, motion_clouds
from spikecore.motifs.training import Recipe, Trainer
from spikecore.motifs.workflow import LADDER, PruningStudy, Training

FOUR = MotionClasses(directions=4, speeds=(0.5,), outside=False)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def bank():
    noise = np.random.default_rng(1).standard_normal((3, 320, 480)).astype(np.float32)
    return ImageBank(whiten(noise), upsample=4)


@pytest.fixture(scope="module")
def ladder(bank):
    return LadderScenes((bank,), (24, 32, 32))


def displacement(one, other):
    """How far ``other`` is moved from ``one``, by the peak of their correlation."""
    spectra = [torch.fft.fft2(frame - frame.mean()) for frame in (one, other)]
    correlation = torch.fft.ifft2(spectra[1] * spectra[0].conj()).real
    row, column = divmod(int(correlation.argmax()), one.shape[1])
    height, width = one.shape
    return ((column + width // 2) % width - width // 2, (row + height // 2) % height - height // 2)


def test_images_move_as_their_labels_say(bank):
    scenes = NaturalScenes(bank, (30, 96, 96), switch=0.0)
    for number in (0, 13, 27):
        velocity = scenes.velocities()[number].expand(1, 30, 2)
        from spikecore.motifs.scenes import _moving_windows

        movie = _moving_windows(bank, velocity, (96, 96), generator(number))[0]
        moved = displacement(movie[0], movie[24])
        assert np.hypot(*(np.array(moved) - 24 * velocity[0, 0].numpy())) < 1.5


def test_windows_read_the_image_exactly_at_whole_pixels():
    image = standardise(np.random.default_rng(0).standard_normal((1, 320, 480)).astype(np.float32))
    image = whiten(image)
    bank = ImageBank(image, upsample=4)
    at = torch.tensor([[40.0, 41.0]]), torch.tensor([[30.0, 30.0]])
    movie = bank.windows(torch.tensor([0]), *at, 20, 25)[0]
    assert np.abs(movie[0].numpy() - image[0, 30:50, 40:65]).max() < 2e-2  # half precision
    assert np.abs(movie[1].numpy() - image[0, 30:50, 41:66]).max() < 2e-2


def test_events_by_the_protocol():
    movie = torch.randn(2, 9, 5, 4, generator=generator())
    theta = torch.tensor([0.5, 1.2])
    events = difference_events(movie, theta)
    for b, y, x in np.ndindex(2, 5, 4):
        last = 0
        assert events[b, 0, y, x] == 0
        for t in range(1, 9):
            rest = float(movie[b, t, y, x] - movie[b, t - 1, y, x] - theta[b] * last)
            last = int(rest > theta[b]) - int(rest < -theta[b])
            assert events[b, t, y, x] == last


def test_density_falls_with_selectivity(bank):
    scenes = NaturalScenes(bank, (40, 48, 48))
    density = [
        float(replace(scenes, selectivity=s).draw(4, generator()).events.abs().float().mean())
        for s in (0.25, 1.0, 4.0)
    ]
    assert density[0] > 1.3 * density[1] > 3 * density[2]


def test_scenes_depend_on_the_seed_alone(bank, ladder):
    for scenes in (NaturalScenes(bank, (20, 32, 32)), ladder):
        torch.manual_seed(1)
        one = scenes.draw(3, generator(5))
        torch.manual_seed(1)
        two = scenes.draw(3, generator(5))
        assert torch.equal(one.events, two.events)
        assert torch.equal(one.labels, two.labels)
        torch.manual_seed(1)
        assert not torch.equal(one.events, scenes.draw(3, generator(6)).events)


def test_motions_switch_as_often_as_told(bank):
    scenes = NaturalScenes(bank, (200, 16, 16))
    labels = scenes.draw(40, generator()).labels.argmax(-1)
    changes = (labels[:, 1:] != labels[:, :-1]).float().mean()
    assert float(changes) == pytest.approx(35 / 36 / 24, rel=0.15)
    assert (replace(scenes, switch=0.0).draw(4, generator()).labels.std(1) == 0).all()


def test_ladder_scenes_merge_polarity_and_start_late(ladder):
    movies = ladder.draw(200, generator())
    some = movies.events.flatten(1).abs().sum(1) > 20
    off = (movies.events.flatten(1) < 0).any(1)
    assert float((~off[some]).float().mean()) == pytest.approx(0.25, abs=0.1)
    assert torch.allclose(movies.labels.sum(-1), torch.ones(200, 24), atol=1e-5)
    steady = (movies.velocity == movies.velocity[:, :1]).all(2).all(1)
    assert 0.5 < float(steady.float().mean()) < 0.85  # half by rule, others by luck


def test_gratings_and_clouds_move_as_told():
    velocity = torch.tensor([[0.5, 0.0], [0.0, -0.25]])
    waves = gratings(velocity, (9, 64, 64), 1 / 16, generator())
    assert torch.allclose(waves[0, 8, :, 4:], waves[0, 0, :, :-4], atol=1e-5)
    assert torch.allclose(waves[1, 8, :-2], waves[1, 0, 2:], atol=1e-5)
    clouds = motion_clouds(velocity, (64, 64, 64), generator())
    assert float(clouds.abs().max()) <= 1.0
    for movie, (vx, vy) in zip(clouds, velocity.tolist(), strict=True):
        power = torch.fft.fftn(movie).abs() ** 2
        f = torch.fft.fftfreq(64)
        ft, fy, fx = f[:, None, None], f[None, :, None], f[None, None, :]
        off = (ft + vx * fx + vy * fy).abs()
        assert float((power * (off < 0.06)).sum() / power.sum()) > 0.9
    assert not torch.equal(
        motion_clouds(velocity[:1], (8, 16, 16), generator(1)),
        motion_clouds(velocity[:1], (8, 16, 16), generator(2)),
    )
    narrow = motion_clouds(velocity, (16, 32, 32), generator(), orientation_spread=0.03)
    assert torch.isfinite(narrow).all()


def test_training_sees_what_the_layer_computes(ladder):
    for polarity in ("invariant", "signed"):
        rng = np.random.default_rng(0)
        kernel = DelayKernel(
            rng.standard_normal((38, 2, 6, 5, 5)), rng.standard_normal(38), polarity, 0.5
        )
        recipe = Recipe(steps=1, movies=2, reuse=1, voxels=64, skip=3, border=2)
        trainer = Trainer(ladder, recipe, kernel)
        movies = ladder.draw(2, generator())
        movies.events[:, :, ::3] = torch.where(movies.events[:, :, ::3] != 0, 2, 0).to(torch.int8)
        evidence = trainer._evidence(trainer._sample(movies)[0])
        volume = torch.stack([(movies.events < 0) | (movies.events > 1), movies.events > 0], 1)
        dense = DelayConv(kernel, "direct")(volume).permute(0, 2, 3, 4, 1).reshape(-1, 38)
        nearest = torch.cdist(evidence, dense).min(1).values
        assert float(nearest.detach().max()) < 1e-3 * float(dense.detach().abs().max())


def test_training_learns(bank):
    scenes = NaturalScenes(bank, (30, 32, 32), switch=0.0, classes=FOUR)
    kernel = DelayKernel.initial(4, delays=7, size=7)
    recipe = Recipe(steps=60, rate=1e-2, movies=32, reuse=8, voxels=1024, skip=7, border=3)
    test = scenes.draw(24, generator(9))
    before = score(kernel, [test])
    trainer = Trainer(scenes, recipe, kernel)
    trainer.run()
    after = score(trainer.result(), [test])
    assert before.movie < 0.6
    assert after.movie > 0.9
    assert trainer.losses[-1] < np.log(4) - 0.2
    assert score(trainer.result().pruned(20), [test]).movie > 0.6
    # no weight exceeds the mask times the largest
    weights = np.abs(trainer.result().weights)
    assert (weights <= causal_mask(7, 7) * weights.max() * (1 + 1e-6)).all()


def test_bce_learns_too(bank):
    scenes = NaturalScenes(bank, (30, 32, 32), switch=0.0, classes=FOUR)
    recipe = Recipe(
        steps=60, rate=1e-2, movies=32, reuse=8, voxels=1024, skip=7, border=3, loss="bce"
    )
    trainer = Trainer(scenes, recipe, DelayKernel.initial(4, delays=7, size=7))
    test = scenes.draw(24, generator(9))
    before = score(trainer.result(), [test]).movie
    trainer.run(until=1)
    first = trainer.losses[-1]
    trainer.run()
    assert trainer.losses[-1] < 0.8 * first
    assert score(trainer.result(), [test]).movie > before + 0.15


def test_pruned_weights_stay_away(ladder):
    kernel = DelayKernel.initial(38, delays=5, size=5).pruned(10)
    recipe = Recipe(steps=5, movies=4, reuse=2, voxels=128, skip=3, border=2)
    trainer = Trainer(ladder, recipe, kernel, fixed=True)
    trainer.run()
    result = trainer.result()
    assert not result.weights[kernel.weights == 0].any()
    assert (result.weights[kernel.weights != 0] != kernel.weights[kernel.weights != 0]).any()


def test_calibration_makes_single_events_as_sure_as_they_are_right(bank):
    scenes = NaturalScenes(bank, (30, 32, 32), switch=0.0, classes=FOUR)
    recipe = Recipe(steps=60, rate=1e-2, movies=32, reuse=8, voxels=1024, skip=7, border=3)
    trainer = Trainer(scenes, recipe, DelayKernel.initial(4, delays=7, size=7))
    trainer.run()
    good = trainer.result()
    blunt = Trainer(scenes, recipe, good.scaled(1 / 8))
    found = blunt.calibrated()
    assert np.abs(found.weights).max() >= 4 * np.abs(good.scaled(1 / 8).weights).max()
    assert found.votes < blunt.result().votes


SMALL = Recipe(steps=12, movies=8, reuse=4, voxels=256, pooled=1.0, group=32, skip=3, border=2)
PLAN = replace(LADDER, recipe=SMALL, retrain=replace(SMALL, steps=6, rate=1e-3))


class StopAfter:
    def __init__(self, steps):
        self.left = steps

    def step(self, steps):
        self.left -= steps

    def __bool__(self):
        return self.left <= 0


@pytest.mark.parametrize("cut", [5, 8, 15])
def test_a_stopped_training_resumes_exactly(ladder, tmp_path, cut):
    state = torch.random.get_rng_state()
    kernel = Training(PLAN, ladder).run(lambda _n: None)
    assert torch.equal(state, torch.random.get_rng_state())  # the program's own draws are left
    assert kernel.synapses == round(kernel.weights.size / 115)
    assert kernel.grid is not None
    stop = StopAfter(cut)
    first = Training(PLAN, ladder, checkpoint=tmp_path / "c.npz")
    assert first.run(stop.step, stop) is None
    second = Training(PLAN, ladder, checkpoint=tmp_path / "c.npz", resume=True)
    assert second.done == cut
    resumed = second.run(lambda _n: None)
    assert np.array_equal(resumed.weights, kernel.weights)
    assert np.array_equal(resumed.bias, kernel.bias)


def test_checkpoints_that_do_not_fit(ladder, tmp_path):
    path = tmp_path / "c.npz"
    with pytest.raises(FileRefused, match="does not exist"):
        Training(PLAN, ladder, checkpoint=path, resume=True)
    training = Training(PLAN, ladder, checkpoint=path)
    training.save()
    with pytest.raises(FileRefused, match="belongs to another training"):
        Training(PLAN.with_seed(3), ladder, checkpoint=path, resume=True)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FileRefused, match="damaged"):
        Training(PLAN, ladder, checkpoint=path, resume=True)
    with pytest.raises(FileRefused, match="does not exist"):
        Training(PLAN, ladder, checkpoint=tmp_path / "absent" / "c.npz")


def test_recordings_turn_with_their_labels():
    import moving

    events = moving.straight(100, 40, seconds=0.2)
    scenes = RecordedScenes(((events, 100.0, 40.0),), (24, 24, 24))
    one = scenes.draw(60, generator(3))
    assert torch.equal(one.events, scenes.draw(60, generator(3)).events)
    speeds = one.velocity[:, 0].norm(dim=1).numpy()
    ticks = speeds / np.hypot(100, 40) * 1e6
    assert np.allclose(ticks, np.rint(ticks / 500) * 500, rtol=1e-4)  # on a rung
    from spikecore.motifs import shipped_kernel

    layer, kernel = DelayConv(shipped_kernel()), shipped_kernel()
    right = []
    for i in np.flatnonzero((speeds > 0.25) & (speeds < 0.63)):
        volume = torch.stack([one.events[i] < 0, one.events[i] > 0])[None]
        evidence = layer(volume)[0, :, 5:][:, (one.events[i, 5:] != 0)].mean(1)[:36]
        found = kernel.directions[int(evidence.argmax())]
        vx, vy = one.velocity[i, 0].tolist()
        right.append(moving.angle_between(found, np.arctan2(vy, vx)) < 40)
    assert len(right) >= 4
    assert np.mean(right) > 0.8


def test_pruning_study(tmp_path):
    for i in range(5):
        picture = 128 + 40 * draw_shapes(1, seed=i)[0]
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(tmp_path / f"{i}.png")
    from spikecore.motifs import shipped_kernel

    study = PruningStudy(shipped_kernel(), tmp_path, movies=6, size=40)
    rows = [study.row(factor, structured=False) for factor in (115, 20_000)]
    assert rows[0]["synapses"] == 4011
    assert rows[0]["accuracy"] > 0.5 > rows[1]["accuracy"]
    assert study.last.synapses == rows[1]["synapses"] < 30
    with pytest.raises(InvalidInput, match="36 classes of the paper"):
        PruningStudy(DelayKernel.initial(5), tmp_path, 1, 40)


def test_pictures(tmp_path, monkeypatch):
    packaged = load_images()
    assert packaged.shape[1:] == (320, 480)
    assert len(packaged) >= 20
    Image.new("RGB", (1000, 700), "white").save(tmp_path / "large.png")
    Image.new("L", (100, 300), 7).save(tmp_path / "small.png")
    tiles = load_images(tmp_path)
    assert len(tiles) == 4 + 2
    assert (tiles[-1] == 7).all()
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(FileRefused, match="is not a picture"):
        load_images(tmp_path)
    with pytest.raises(FileRefused, match="is not a folder"):
        load_images(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileRefused, match="holds no pictures"):
        load_images(tmp_path / "empty")
    monkeypatch.setattr("spikecore.motifs.images.find_spec", lambda _name: None)
    with pytest.raises(BackendUnavailable, match="neither scikit-image nor scikit-learn"):
        load_images()


def test_recipes_are_checked():
    with pytest.raises(UnknownName, match="cross"):
        Recipe(loss="cross_entropy")
    with pytest.raises(InvalidInput, match="at least 1"):
        Recipe(steps=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_on_a_gpu_learns(bank):
    scenes = NaturalScenes(ImageBank(draw_shapes(3), "cuda"), (30, 32, 32), 0.0, classes=FOUR)
    recipe = Recipe(steps=60, rate=1e-2, movies=32, reuse=8, voxels=1024, skip=7, border=3)
    trainer = Trainer(scenes, recipe, DelayKernel.initial(4, delays=7, size=7), device="cuda")
    trainer.run()
    assert score(trainer.result(), [scenes.draw(24, generator(9))], "cuda").movie > 0.9
