package metrics

import "strings"

// irregular are the words that nltk stems by a table.
var irregular = map[string]string{
	"sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
	"innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing", "cannings": "canning", "canning": "canning",
	"howe": "howe", "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// PorterStem stems a lower-case ASCII word as nltk's PorterStemmer does by
// default: Porter's algorithm ("An algorithm for suffix stripping", 1980) with
// nltk's extensions.
func PorterStem(word string) string {
	if stem, ok := irregular[word]; ok {
		return stem
	}
	if len(word) <= 2 {
		return word
	}
	word = porterPlural(word)
	word = porterPast(word)
	if n := len(word); n > 2 && word[n-1] == 'y' && consonant(word, n-2) {
		word = word[:n-1] + "i"
	}
	word = porterStep2(word)
	word = replaceSuffix(word, step3, 0)
	if stem, ok := strings.CutSuffix(word, "ion"); ok {
		if measure(stem) > 1 && (strings.HasSuffix(stem, "s") || strings.HasSuffix(stem, "t")) {
			word = stem
		}
	} else {
		word = replaceSuffix(word, step4, 1)
	}
	if stem, ok := strings.CutSuffix(word, "e"); ok {
		if m := measure(stem); m > 1 || m == 1 && !endsShort(stem) {
			word = stem
		}
	}
	if n := len(word); strings.HasSuffix(word, "ll") && measure(word[:n-1]) > 1 {
		word = word[:n-1]
	}
	return word
}

// isVowel classifies the letter after a vowel or not (before): a, e, i, o, u,
// and y after a consonant.
func isVowel(c byte, first, before bool) bool {
	if c == 'y' {
		return !first && !before
	}
	return strings.IndexByte("aeiou", c) >= 0
}

func consonant(word string, i int) bool {
	vowel := false
	for k := range i + 1 {
		vowel = isVowel(word[k], k == 0, vowel)
	}
	return !vowel
}

// measure counts the places where a consonant follows a vowel.
func measure(stem string) int {
	m, vowel := 0, false
	for i := range len(stem) {
		before := vowel
		vowel = isVowel(stem[i], i == 0, before)
		if before && !vowel {
			m++
		}
	}
	return m
}

func containsVowel(stem string) bool {
	for i := range len(stem) {
		// The first vowel follows consonants only.
		if isVowel(stem[i], i == 0, false) {
			return true
		}
	}
	return false
}

// endsShort is Porter's *o: consonant, vowel, consonant other than w, x, y at
// the end. nltk adds the words of a vowel and a consonant.
func endsShort(word string) bool {
	n := len(word)
	if n == 2 {
		return !consonant(word, 0) && consonant(word, 1)
	}
	return n >= 3 && consonant(word, n-3) && !consonant(word, n-2) && consonant(word, n-1) &&
		strings.IndexByte("wxy", word[n-1]) < 0
}

// porterPlural takes -s off.
func porterPlural(word string) string {
	switch {
	case strings.HasSuffix(word, "ies") && len(word) == 4:
		return word[:3]
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "ies"):
		return word[:len(word)-2]
	case strings.HasSuffix(word, "ss"):
		return word
	}
	return strings.TrimSuffix(word, "s")
}

// porterPast takes -ed and -ing off.
func porterPast(word string) string {
	if stem, ok := strings.CutSuffix(word, "ied"); ok {
		if len(word) == 4 {
			return stem + "ie"
		}
		return stem + "i"
	}
	if stem, ok := strings.CutSuffix(word, "eed"); ok {
		if measure(stem) > 0 {
			return stem + "ee"
		}
		return word
	}
	stem, ok := strings.CutSuffix(word, "ed")
	if !ok {
		stem, ok = strings.CutSuffix(word, "ing")
	}
	if !ok || !containsVowel(stem) {
		return word
	}
	for _, suffix := range []string{"at", "bl", "iz"} {
		if strings.HasSuffix(stem, suffix) {
			return stem + "e"
		}
	}
	if n := len(stem); n >= 2 && stem[n-1] == stem[n-2] && consonant(stem, n-1) {
		if strings.IndexByte("lsz", stem[n-1]) >= 0 {
			return stem
		}
		return stem[:n-1]
	}
	if measure(stem) == 1 && endsShort(stem) {
		return stem + "e"
	}
	return stem
}

var (
	step2 = []string{
		"ational", "ate", "tional", "tion", "enci", "ence", "anci", "ance", "izer", "ize", "bli", "ble", "alli", "al",
		"entli", "ent", "eli", "e", "ousli", "ous", "ization", "ize", "ation", "ate", "ator", "ate", "alism", "al",
		"iveness", "ive", "fulness", "ful", "ousness", "ous", "aliti", "al", "iviti", "ive", "biliti", "ble", "fulli", "ful",
	}
	step3 = []string{"icate", "ic", "ative", "", "alize", "al", "iciti", "ic", "ical", "ic", "ful", "", "ness", ""}
	step4 = []string{
		"al", "", "ance", "", "ence", "", "er", "", "ic", "", "able", "", "ible", "", "ant", "", "ement", "", "ment", "", "ent", "",
		"ou", "", "ism", "", "ate", "", "iti", "", "ous", "", "ive", "", "ize", "",
	}
)

func porterStep2(word string) string {
	if stem, ok := strings.CutSuffix(word, "alli"); ok && measure(stem) > 0 {
		return porterStep2(stem + "al")
	}
	if strings.HasSuffix(word, "logi") {
		if measure(word[:len(word)-3]) > 0 {
			return word[:len(word)-1]
		}
		return word
	}
	return replaceSuffix(word, step2, 0)
}

// replaceSuffix applies the first rule (suffix, replacement) whose suffix ends
// the word, if the measure of what precedes it is above least.
func replaceSuffix(word string, rules []string, least int) string {
	for i := 0; i < len(rules); i += 2 {
		stem, ok := strings.CutSuffix(word, rules[i])
		if !ok {
			continue
		}
		if measure(stem) > least {
			return stem + rules[i+1]
		}
		return word
	}
	return word
}
