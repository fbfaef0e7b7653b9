package metrics

import (
	"regexp"
	"strings"

	"refreekv/metrics/jieba"
)

// F1Chinese is F1 over the words that jieba finds: lower case, ASCII and Chinese
// punctuation and blanks deleted in each word, empty words dropped (LongBench's
// qa_f1_zh_score).
func F1Chinese(prediction, answer string) float64 {
	return wordF1(chineseWords(prediction), chineseWords(answer))
}

// chinesePunctuation is LongBench's list, to which string.punctuation is added.
const chinesePunctuation = "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."

func chineseWords(text string) []string {
	var out []string
	for _, word := range jieba.Cut(text, true) {
		word = strings.Map(func(r rune) rune {
			if isPunctuation(r) || isSpace(r) || strings.ContainsRune(chinesePunctuation, r) {
				return -1
			}
			return r
		}, lower(word))
		if word != "" {
			out = append(out, word)
		}
	}
	return out
}

// RougeLChinese is RougeL over the words that jieba finds, joined by blanks
// (LongBench's rouge_zh_score). Sentences end at ASCII full stops only, so a
// Chinese text is one sentence as a rule. One more call is in use here when the
// package rouge starts, so walks may be one step shorter.
func RougeLChinese(prediction, answer string) float64 {
	cut := func(text string) [][]string { return sentences(strings.Join(jieba.Cut(text, true), " ")) }
	return rougeL(cut(prediction), cut(answer), deepest-1)
}

var chineseParagraph = regexp.MustCompile(`段落(\p{Nd}+)`)

// RetrievalChinese is Retrieval for answers such as "段落12" (LongBench's
// retrieval_zh_score).
func RetrievalChinese(prediction, answer string) float64 {
	return retrieval(prediction, answer, chineseParagraph)
}
