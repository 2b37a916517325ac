"""From where on something is a mistake: what the check before a training and the doctor after it agree on."""

from __future__ import annotations

#: A layer's gradient vanishes where it is so small a share of the largest. Adam can make good for a few thousandths;
#: each sigmoid takes a factor of 4 or more, so that seven of them are found and five pass. The smallest share of the
#: shipped configs is 0.03.
VANISHING = 1e-4
#: Gradients explode where one is so many times its layer's weights, the loss measured in what chance leaves to learn.
#: The largest of the shipped configs is 4.
EXPLODING = 300.0
#: Units are dead that are zero in all rows of the sample. Half of a layer is a warning: of the shipped configs none has
#: more than a tenth. Where nine in ten are dead, the layer passes next to nothing.
DEAD_WARNED, DEAD_FAILED = 0.5, 0.9
#: A loss may be so many times what chance gives before it is a warning, and before it is a failure.
#: Fresh weights answer at random, which costs more than not to answer. With He's and Glorot's initial weights the
#: logits have a variance of 1 to 2, which makes 1 + 2 of a squared error of 1, and less of a cross-entropy: the
#: shipped configs are at 1.0 to 2.5. Ten times chance takes logits of ten standard deviations or more: weights or
#: inputs of another scale.
WILD_WARNED, WILD = 4.0, 10.0
#: Where the train split's loss is above this share of the way from the floor to the best constant answer, another kind
#: of learner is asked whether there is more to be learned.
SUSPECT = 0.3
