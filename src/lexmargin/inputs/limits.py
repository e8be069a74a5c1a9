"""Limits of size, with their units and reasons: what is refused, formed at a time, or left aside.

Beyond a limit an input is refused by name, another method is taken, or less is claimed: no word
rises by one. Counts without a figure beside them are judgements of what is affordable by the way.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ALL_WEIGHTS_ENTRIES",
    "ARCHIVE_ARRAYS",
    "ARCHIVE_BYTES",
    "ARCHIVE_RATIO",
    "ARC_PATTERNS",
    "ARC_SIGNS",
    "ARRAY_DIMENSIONS",
    "BALL_EVALUATIONS",
    "BALL_HESSIAN_ENTRIES",
    "BALL_HESSIAN_PARAMETERS",
    "BEATEN_SPHERE_BOXES",
    "BEATEN_SPHERE_VALUES",
    "BIRTH_SUPPORT",
    "CLARKE_ENTRIES",
    "CLARKE_KINKS",
    "CLARKE_ROWS",
    "COMPARISON_UNITS",
    "CONTRACTION_ENTRIES",
    "CORNER_ENTRIES",
    "CURVATURE_ENTRIES",
    "DECIMAL_EXPONENT",
    "DEGREE_TERMS",
    "DENSE_COLUMNS",
    "DENSE_HESSIAN_PARAMETERS",
    "DENSIFIED_ENTRIES",
    "EMBEDDED_ENTRIES",
    "EXACT_ENTRIES",
    "EXACT_LEVEL_ENTRIES",
    "EXACT_PRODUCT_ENTRIES",
    "EXTENDED_ENTRIES",
    "FRACTION_ENTRIES",
    "GRADIENT_BYTES",
    "HASHED_BYTES",
    "HESSIAN_PARAMETERS",
    "IMPROVED_ENTRIES",
    "INSEPARABLE_CASES",
    "INSEPARABLE_CELLS",
    "JACOBIAN_ENTRIES",
    "KEPT_ENTRIES",
    "KRAWCZYK_ENTRIES",
    "KRAWCZYK_PARAMETERS",
    "LEVEL_ENTRIES",
    "LEVEL_ROWS",
    "LIFTED_ENTRIES",
    "MODELLED_ENTRIES",
    "MODULAR_ENTRIES",
    "MULTIPLIER_SET_ENTRIES",
    "NESTED_TABLES",
    "NETWORK_BOUND_ENTRIES",
    "NEWTON_ENTRIES",
    "NEWTON_PARAMETERS",
    "NORM_ENTRIES",
    "NPY_HEADER_BYTES",
    "NULL_SPACE_ENTRIES",
    "NUMBER_BITS",
    "NUMBER_CHARACTERS",
    "NUMBER_DEPTH",
    "ORTHOGONAL_ENTRIES",
    "OUTPUT_CHARACTERS",
    "PARAMETERS",
    "PARAMETER_BLOCKS",
    "PASS_BYTES",
    "PASS_DIRECTIONS",
    "PASS_SAMPLES",
    "PATTERN_PARAMETERS",
    "PRODUCT_BYTES",
    "QR_ENTRIES",
    "RANGED_MULTIPLIERS",
    "RECEIPT_BYTES",
    "RECEIPT_DIGITS",
    "RECEIPT_ENTRIES",
    "RECEIPT_VALUES",
    "RECEIPT_WEIGHTS",
    "RECORD_BYTES",
    "ROTATED_ENTRIES",
    "SEVERAL_STARTS_ENTRIES",
    "SHOWN_RECORD_BYTES",
    "SIZED_ENTRIES",
    "SPARSE_GRAM_ROWS",
    "SPHERE_BOXES",
    "SPHERE_PARAMETERS",
    "SPHERE_VALUES",
    "SQUARE_COLUMNS",
    "STORED_BYTES",
    "STORED_VALUES",
    "SVD_WORK",
    "SYMMETRY_PAIRS",
    "TENSORS_HEADER_BYTES",
    "TOML_BYTES",
    "TRAINED_CLARKE_ROWS",
    "TRAINED_SYMMETRIES",
    "TRAINED_UNITS",
    "VERTEX_BASES",
]

# Files and texts: nothing of a size that a stranger chose is made before it is compared.
TOML_BYTES: Final = 64 * 2**20
"""Largest TOML file that is read: larger data belong in a CSV or NPZ file."""
RECORD_BYTES: Final = 64 * 2**20
"""Largest record of a comparison or of a measured statement that is read."""
SHOWN_RECORD_BYTES: Final = 1 << 28
"""Largest record that a page shows; a direction of ten million numbers fits."""
STORED_BYTES: Final = 2**29
"""Largest file of a result: θ and the direction of ten million parameters fit."""
STORED_VALUES: Final = 30_000_000
"""Values in such a file or in a record: the numbers of those parameters, and as many margins."""
HASHED_BYTES: Final = 2**32
"""Largest file of a problem or its data that is hashed: it is held in memory for that."""
RECEIPT_BYTES: Final = 96 * 2**20
"""Largest receipt that is read."""
RECEIPT_VALUES: Final = 4_000_000
"""Values in a receipt: labels are most of them; an empty list takes 60 bytes and is written in
3."""
NESTED_TABLES: Final = 50
"""Keys and places that lead to a table, three for a predictor in a sum: reading ends before
Python's own stack does."""
RECEIPT_DIGITS: Final = 19
"""Digits of a whole number in a receipt: none is larger than a label, and all fit 64 bits."""
RECEIPT_ENTRIES: Final = 10**8
"""Samples times features that a receipt may state: 800 MB as doubles."""
RECEIPT_WEIGHTS: Final = 30_000_000
"""Weights of a receipt, 240 MB: one without its data can name any number of samples."""
EMBEDDED_ENTRIES: Final = 4_000_000
"""Entries of X up to which a receipt holds the data: 32 MB, 43 MB in base 64, under
RECEIPT_BYTES."""
PARAMETER_BLOCKS: Final = 1000
"""Blocks of a predictor: each is a variable of a model, and a step of Python in every pass."""
PARAMETERS: Final = 10**7
"""Parameters of a predictor of a file: 80 MB a vector, and solvers hold many."""
ARCHIVE_BYTES: Final = 128 * 2**20
"""Bytes that any NPZ file may ask for: held twice for a moment, as read and as float64."""
ARCHIVE_RATIO: Final = 100
"""Bytes that it may ask for beyond that, per byte of its own: images of digits need 40."""
ARCHIVE_ARRAYS: Final = 10_000
"""Arrays of an NPZ file; with more the list of names is the larger part of the work."""
ARRAY_DIMENSIONS: Final = 32
"""Dimensions of an array in a file, NumPy 1's own limit: more mean a forged header."""
NPY_HEADER_BYTES: Final = 10_000
"""Bytes of the header of an array, as NumPy limits it: a longer one is no header of an array."""
TENSORS_HEADER_BYTES: Final = 2**22
"""Bytes of the header of a safetensors file: 20,000 tensors need half of it."""
NUMBER_CHARACTERS: Final = 200
"""Characters of a number in a file: nobody writes longer ones, and exact results grow with them."""
NUMBER_DEPTH: Final = 50
"""Nesting of its brackets and signs, far from Python's own limit of calls."""
NUMBER_BITS: Final = 4096
"""Bits of an exact result: powers grow faster than their text, and "9^9^9" must stay cheap."""
DECIMAL_EXPONENT: Final = 400
"""Decimal exponent of a number: doubles end at 308, and 10^exponent is formed exactly."""
OUTPUT_CHARACTERS: Final = 1_000_000
"""Characters that are kept of what a solver writes: a chatty one must not fill the memory."""
COMPARISON_UNITS: Final = 100_000
"""Runs of one comparison, a file each: beyond, a glob was wider than was meant."""

# Memory: what is formed at a time. Smaller is slower, larger may not fit.
PRODUCT_BYTES: Final = 1 << 23
"""Bytes of samples that are made contiguous for one product: about a cache."""
PASS_SAMPLES: Final = 512
"""Samples in one pass of a trained network; its hidden layers are held for all of them."""
PASS_BYTES: Final = 256_000_000
"""Bytes of gradients, or of directions and their products, in one such pass."""
PASS_DIRECTIONS: Final = 64
"""Directions of one Hessian pass; beyond, more at once is no faster."""
SIZED_ENTRIES: Final = 400_000
"""Entries of the gradients whose sizes are formed at a time."""
DENSIFIED_ENTRIES: Final = 5_000_000
"""Entries of sparse gradients that are made dense: 40 MB."""
JACOBIAN_ENTRIES: Final = 20_000_000
"""Entries of a trained network's gradients that are formed, 160 MB; above, inner products are."""
GRADIENT_BYTES: Final = 4e9
"""Bytes that gradients of a trained network may take at a time, where the caller does not say."""
EXACT_ENTRIES: Final = 4_000_000
"""Entries of samples in exact proofs: as Python integers they take some 40 bytes each, 160 MB."""
SPARSE_GRAM_ROWS: Final = 6_000
"""CSR rows up to which their Gram matrix (288 MB) is formed."""
QR_ENTRIES: Final = 500_000_000
"""Entries of J up to which the orthogonal method may copy it: 4 GB."""

# Solvers: up to where a method is the faster or the only affordable one. A wrong one costs time.
PATTERN_PARAMETERS: Final = 2000
"""Parameters up to which fixed patterns are solved with dense second derivatives: 32 MB."""
CORNER_ENTRIES: Final = 200_000
"""N·d up to which a linear answer is sharpened on a path whose steps read all rows."""
NORM_ENTRIES: Final = 200_000
"""N·d up to which norms other than 1, 2 and inf, whose steps read all rows, are taken."""
DENSE_COLUMNS: Final = 400
"""Up to so many columns the working rows are dense, and their problem is solved in w itself."""
SQUARE_COLUMNS: Final = 3000
"""Up to so many columns the interior-point method factors a matrix of their size: 72 MB, and half
a second a step."""
NEWTON_PARAMETERS: Final = 300
"""Parameters up to which the toolkit's own Newton methods form dense systems."""
NEWTON_ENTRIES: Final = 300_000
"""N·d up to which they read all gradients in every step."""
MODELLED_ENTRIES: Final = 20_000
"""N·d from which a declarative model is slow to build, and the augmented Lagrangian is taken."""
SEVERAL_STARTS_ENTRIES: Final = 2000
"""N·d up to which several starts are the default: beyond, their price is not paid unasked
(judgement)."""

# The judge: beyond these it says less (a weaker bound, an open question), never something else.
DEGREE_TERMS: Final = 10_000
"""Terms of a product whose degrees are followed: they multiply with every layer."""
VERTEX_BASES: Final = 4_000
"""Exact linear systems of a bound by all vertices."""
NETWORK_BOUND_ENTRIES: Final = 200_000
"""N·d of the relaxed program of a two-layer network, which is dense."""
INSEPARABLE_CASES: Final = 1_000
"""Sets of cells, an exact linear program each."""
INSEPARABLE_CELLS: Final = 64
"""Cells of the hyperplanes of the samples that are kept while they are listed."""
LIFTED_ENTRIES: Final = 400_000
"""Entries of J whose weights are improved towards the bound of a loss, by a factorisation."""
BALL_EVALUATIONS: Final = 200_000
"""Parameters times samples that are evaluated in balls at most: about a second."""
SPHERE_PARAMETERS: Final = 4
"""Parameters of branch and bound over a sphere: boxes grow exponentially with them."""
SPHERE_BOXES: Final = 12_000
"""Boxes of the sphere: most bounds that are met are met after 1,500, that of the saddle of two
factors after 9,300; bounds that cannot be met run out, at about 2,500 boxes a second."""
SPHERE_VALUES: Final = 120_000
"""Boxes times samples: with many samples fewer boxes, for about the same time."""
BEATEN_SPHERE_BOXES: Final = 2_000
"""Boxes where a better point is met: how far this one falls short is worth a second at most."""
BEATEN_SPHERE_VALUES: Final = 16_000
"""Boxes times samples there."""
IMPROVED_ENTRIES: Final = 200_000
"""Entries of J up to which better weights are sought for a dual bound."""
LEVEL_ROWS: Final = 400
"""So many rows are factored at most; with more samples active at once nothing is shown."""
LEVEL_ENTRIES: Final = 2_000_000
"""Entries of Z whose levels are judged: a level costs a linear program and a factorisation."""
ARC_PATTERNS: Final = 40_000
"""Patterns of the arcs of great circles (features in three dimensions)."""
ARC_SIGNS: Final = 20_000_000
"""Signs in those patterns: 160 MB."""
BIRTH_SUPPORT: Final = 200
"""Samples of a support whose multipliers are searched for the smallest birth value."""
CLARKE_KINKS: Final = 12
"""Kinks in several layers whose 2ⁿ choices of slopes are all evaluated."""
CLARKE_ENTRIES: Final = 40_000_000
"""Entries of all gradients of a support with their choices: 320 MB."""
CLARKE_ROWS: Final = 2000
"""Margins whose slopes are chosen together: least squares over more would outlast everything
else."""
TRAINED_CLARKE_ROWS: Final = 500
"""The same for trained networks, where every gradient is a pass of its own."""
ALL_WEIGHTS_ENTRIES: Final = 500_000
"""Entries of J up to which weights on all samples are sought, not on a support alone."""
SYMMETRY_PAIRS: Final = 4_000
"""Pairs of units whose rotations are tangents, a vector of the size of θ each."""
TRAINED_SYMMETRIES: Final = 2000
"""The same for trained networks, where each is tried by two passes."""
TRAINED_UNITS: Final = 1024
"""Units of a layer whose pairs are looked at: the table of them has as many rows and columns."""
EXTENDED_ENTRIES: Final = 2_000_000
"""Entries of J up to which sums over it are formed in extended precision."""
ORTHOGONAL_ENTRIES: Final = 20_000
"""Entries of J up to which the orthogonal method is no slower than the Gram form."""
ROTATED_ENTRIES: Final = 1_000_000
"""Entries of J from which fewer coordinates are worth a factorisation: 8 MB, beyond a cache."""
RANGED_MULTIPLIERS: Final = 64
"""Multipliers whose ends are reported: two linear programs each."""
MULTIPLIER_SET_ENTRIES: Final = 200_000
"""Entries of the linear program that finds what holds on the whole set, ℓ1 and ℓ∞."""
NULL_SPACE_ENTRIES: Final = 1_000_000
"""Entries of a null space in the linear program of the multipliers that may be positive."""
SVD_WORK: Final = 4e10
"""Operations of a singular value decomposition: about what a certificate may cost (judgement)."""
EXACT_PRODUCT_ENTRIES: Final = 1_000_000
"""Entries of products without rounding: about a second."""
EXACT_LEVEL_ENTRIES: Final = 4_000_000
"""Entries of Z times levels that are solved in fractions."""
KRAWCZYK_PARAMETERS: Final = 100
"""Parameters of a proof in balls, whose systems take the third power of them."""
KRAWCZYK_ENTRIES: Final = 20_000
"""Gradients times parameters that it encloses: every one is a ball (judgement)."""
HESSIAN_PARAMETERS: Final = 2000
"""Parameters whose Hessian is formed, 32 MB; above, its smallest eigenvalue is looked for."""
DENSE_HESSIAN_PARAMETERS: Final = 300
"""The same where a receipt, or a problem with a scale, has no other way than the dense one."""
MODULAR_ENTRIES: Final = 40_000
"""Entries of J whose rank is proved modulo a prime: exact elimination in Python."""
CONTRACTION_ENTRIES: Final = 4_000_000
"""Gradients times parameters beyond which margins far above the support are not looked at."""
CURVATURE_ENTRIES: Final = 40_000_000
"""Entries of the support's gradients that are factored for second order: 320 MB."""
FRACTION_ENTRIES: Final = 2000
"""Entries of the gradients that are compared as fractions of 4096 bits."""
BALL_HESSIAN_PARAMETERS: Final = 8
"""Up to this size every direction of a ball is measured, and Hessians are enclosed in balls."""
BALL_HESSIAN_ENTRIES: Final = 64
"""Samples times parameters of such an enclosure; more takes longer than the rest of a
certificate."""
KEPT_ENTRIES: Final = 2_000_000
"""Entries of the Jacobian up to which an evaluation is kept: a judge asks for one point often, and
what is kept of it is no larger than the Jacobian."""
