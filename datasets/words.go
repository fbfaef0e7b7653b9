package datasets

import (
	_ "embed"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// English words of the Python package wonderwords 3.0.1 (MIT, words/LICENSE),
// which RULER draws from: those of lower-case letters only, without the ones on
// the package's list of profanities.
var (
	//go:embed words/adjectives.txt
	adjectivesText string
	//go:embed words/nouns.txt
	nounsText string
	//go:embed words/verbs.txt
	verbsText string
)

// lexicon holds the embedded words, split once.
var lexicon = sync.OnceValue(func() (l struct{ adjectives, nouns, all []string }) {
	l.adjectives, l.nouns = strings.Fields(adjectivesText), strings.Fields(nounsText)
	l.all = slices.Concat(l.adjectives, l.nouns, strings.Fields(verbsText))
	slices.Sort(l.all)
	l.all = slices.Compact(l.all)
	return l
})

// wordPair is a key such as "brisk-anchor".
func wordPair(rng *rand.Rand) string {
	l := lexicon()
	return pick(rng, l.adjectives) + "-" + pick(rng, l.nouns)
}

// distinctWords draws n different words, and pairs of words where there are not
// so many.
func distinctWords(rng *rand.Rand, n int) []string {
	all := lexicon().all
	out := make([]string, 0, n)
	for _, at := range rng.Perm(len(all))[:min(n, len(all))] {
		out = append(out, all[at])
	}
	fresh := unused()
	for len(out) < n {
		out = append(out, fresh(func() string { return wordPair(rng) }))
	}
	return out
}

// unused returns a function that draws until it gets what it has not given yet.
func unused() func(draw func() string) string {
	given := map[string]bool{}
	return func(draw func() string) string {
		for {
			if s := draw(); !given[s] {
				given[s] = true
				return s
			}
		}
	}
}

// digits draws a number of that many digits.
func digits(rng *rand.Rand, n int) string {
	least := 1
	for range n - 1 {
		least *= 10
	}
	return strconv.Itoa(least + rng.IntN(9*least))
}

// randomLetters draws a word of n letters, from first to the 26th on.
func randomLetters(rng *rand.Rand, first byte, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(rng.IntN(26))
	}
	return string(b)
}
