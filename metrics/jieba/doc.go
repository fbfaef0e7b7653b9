// Package jieba splits Chinese text into words exactly as the Python package
// jieba 0.42.1 does in its default mode, which LongBench's Chinese metrics use.
// The dictionary and the tables of its hidden Markov model are jieba's (MIT,
// LICENSE.jieba); testdata/oracle.py made the two files from the Python package.
package jieba
