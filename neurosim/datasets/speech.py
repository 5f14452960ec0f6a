"""Recordings as sequences: log energies in mel bands, frame by frame."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpeechFeatures:
    """How a recording becomes a sequence: log energies in mel bands, frame by frame.

    Attributes
    ----------
    sample_rate : int
        Samples per second that every file must have.
    frame_ms, hop_ms : float
        Length of a frame and distance between the beginnings of two frames, ms.
    bands : int
        Triangular mel filters from 0 to half the sample rate (mel = 2595 log10(1 + f / 700),
        O'Shaughnessy 1987): the inputs of one step.
    max_steps : int
        Steps of every sequence, shorter ones padded; a longer recording is refused.
    """

    sample_rate: int = 8000
    frame_ms: float = 50.0
    hop_ms: float = 25.0
    bands: int = 32
    max_steps: int = 100

    @property
    def frame(self):
        """Samples of one frame."""
        return max(2, round(self.sample_rate * self.frame_ms / 1000))

    @property
    def hop(self):
        """Samples from one frame to the next."""
        return max(1, round(self.sample_rate * self.hop_ms / 1000))

    @property
    def max_samples(self):
        """Samples of the longest recording with `max_steps` frames."""
        return self.frame + (self.max_steps - 1) * self.hop

    def n_steps(self, n_samples):
        """Frames of a recording; the last is filled up with silence."""
        return 1 + max(0, -(-(n_samples - self.frame) // self.hop))


def mel_filters(features):
    """Triangular filters: float64, shape (frame // 2 + 1, bands); columns have maximum 1 near their centre."""
    top = 2595.0 * np.log10(1.0 + features.sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, features.bands + 2) / 2595.0) - 1.0)
    frequency = np.arange(features.frame // 2 + 1)[:, None] * features.sample_rate / features.frame
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    # A band narrower than the spacing of the spectrum would be empty: it takes at least one spacing to either side.
    spacing = features.sample_rate / features.frame
    rise, fall = np.maximum(centre - low, spacing), np.maximum(high - centre, spacing)
    return np.maximum(0.0, np.minimum((frequency - centre) / rise + 1.0, (centre - frequency) / fall + 1.0))


def log_mel(samples, features, filters):
    """Log energies of the frames of one recording: float64, shape (n_steps, bands)."""
    from scipy.fft import rfft
    from scipy.signal import get_window

    n_steps = features.n_steps(len(samples))
    padded = np.zeros((n_steps - 1) * features.hop + features.frame)
    padded[: len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, features.frame)[:: features.hop]
    power = np.abs(rfft(frames * get_window("hann", features.frame), axis=1)) ** 2
    # The floor is some 100 dB below a loud frame: silence is a number, and the same in every file.
    return np.log(power @ filters + 1e-6)
