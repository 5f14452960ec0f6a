"""The smallest of settings in order whose mean score reaches a target, in as few measurements as the noise between seeds allows."""

import math

#: One-sided confidence with which a setting must miss before the search below it ends.
_CONFIDENCE = 0.95
#: A first seed so many standard deviations from the target decides alone.
_FAR = 4.0


class Scores:
    """Scores of settings, and what can be said from them.

    Settings are all alike to this class; the seeds of one differ by chance. How much is estimated from all settings near the target together:
    three seeds alone say little about their own spread.

    Parameters
    ----------
    target : float
    n_seeds : int
        Of each setting that the first seed does not decide.
    n_samples : int
        On which a score is counted; by the binomial law they bound what one seed can say.
    """

    def __init__(self, target, n_seeds, n_samples):
        self.target, self.n_seeds = target, n_seeds
        self.binomial = math.sqrt(max(target * (1 - target), 0.25 / n_samples) / n_samples)
        self.of = {}

    def is_far(self, score):
        """Whether one score is so far from the target that more seeds would not change the answer."""
        return abs(score - self.target) > _FAR * self.binomial

    def reaches(self, key):
        """Whether the mean of a setting is at the target or above."""
        return _mean(self.of[key]) >= self.target - 1e-12

    def misses_for_sure(self, key):
        """Whether the upper end of the confidence interval of a setting's mean lies below the target."""
        scores = self.of[key]
        if len(scores) < self.n_seeds:  # one was enough
            return not self.reaches(key)
        return _mean(scores) + self._margin(len(scores)) < self.target

    def _margin(self, n):
        near = [scores for scores in self.of.values() if len(scores) > 1 and not self.is_far(_mean(scores))]
        degrees = sum(len(scores) - 1 for scores in near)
        if not degrees:  # one seed: what the number of samples alone says
            return 1.645 * self.binomial / math.sqrt(n)
        from scipy.special import stdtrit

        squares = sum((score - _mean(scores)) ** 2 for scores in near for score in scores)
        return float(stdtrit(degrees, _CONFIDENCE)) * math.sqrt(squares / degrees / n)


def find_smallest(keys, measure, scores, is_bounded=False):
    """Find the first setting that reaches the target.

    Accuracy rises with the budget but for chance, so that half of what is left falls away with every setting (bisection). By chance
    a setting below the place found may reach the target, too; those next below are measured one by one until one misses for sure.

    Parameters
    ----------
    keys : sequence of hashable
        Settings by rising cost.
    measure : callable
        ``measure(key, n_seeds, why)``: list of so many scores, lowest possible ones where there are none. A repeated call costs nothing.
    scores : Scores
        Takes what is measured.
    is_bounded : bool
        Whether to look at the last setting first: where even that one misses, nothing else is tried.

    Returns
    -------
    int or None
        Index into `keys`.
    """

    def reaches(i, why):
        key = keys[i]
        if key not in scores.of:
            found = measure(key, 1, why)
            if scores.n_seeds > 1 and not scores.is_far(found[0]):
                found = measure(key, scores.n_seeds, why)
            scores.of[key] = found
        return scores.reaches(key)

    low, high = -1, len(keys)
    if is_bounded and high:
        if not reaches(high - 1, "most that would be cheaper"):
            return None
        high -= 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle, "middle of what is left") else (middle, high)
    best, i = (high if high < len(keys) else None), low
    while i >= 0:
        if reaches(i, "next below, in case that one missed by chance"):
            best = i
        elif scores.misses_for_sure(keys[i]):
            break
        i -= 1
    return best


def _mean(values):
    return math.fsum(values) / len(values)
