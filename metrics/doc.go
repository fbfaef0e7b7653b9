// Package metrics scores a text against references. Every metric is a pure
// function into 0..1; the registry names them for tasks. Each follows the
// program that the benchmark's authors use, including where that is odd.
//
// Where ReFreeKV's evaluation (arXiv 2502.16886) scores a benchmark by a rule of
// its own that errs, there are two metrics: the plain name is right, and the
// name with _paper is the rule as released.
//
//	gsm8k      compares numbers: 18.0 is 18. _paper compares texts, after the last colon.
//	theoremqa  has TheoremQA's tolerances, lists, truth values and options. _paper finds
//	           the gold text in what follows the last "answer", so 3 in 13.
//	choice     reads the letter that an answer settles on. _paper counts capitals A to D
//	           anywhere, inside words too.
//
// Not told apart, for it changes no score: LongBench's classification spares a
// class that follows a removed one, but no class of its two sets (TREC, LSHT) is a
// part of another, so none is ever removed. The package rouge gives 0 where two
// sentences have about a thousand words together, which takes a text longer than
// the benchmarks let a model generate.
//
// Time grows with the length of a text, and for ROUGE-L and edit similarity with
// the product of both lengths over 64: a prediction of a megabyte takes seconds
// against the longest references there are.
package metrics
