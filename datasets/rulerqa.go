package datasets

import (
	"fmt"
	"slices"
	"strings"
)

// rulerQA asks a question on a passage that stands among others: RULER's
// "Document 1:" and so on, blank lines between.
func rulerQA(j *job, i int) (raw, error) {
	rng := j.rand(i)
	q := j.questions[i]
	length := int(j.number("length"))
	budget := j.budget(length, qaOthers, q.text)
	// Passages in the order in which they are taken, the needed ones first.
	near := slices.Clone(q.near)
	rng.Shuffle(len(near), func(a, b int) { near[a], near[b] = near[b], near[a] })
	order := slices.Concat(q.needed, near)
	taken := map[int]bool{}
	for _, at := range order {
		taken[at] = true
	}
	for _, at := range rng.Perm(len(j.passages)) {
		if !taken[at] {
			order = append(order, at)
		}
	}
	used, n := 0, 0
	for ; n < len(order); n++ {
		used += j.tokens(document(n+1, j.passages[order[n]])) + 2
		if used > budget {
			break
		}
	}
	if n < len(q.needed) {
		return raw{}, tooShort(i, length, "the passages that its question needs")
	}
	order = order[:n]
	rng.Shuffle(n, func(a, b int) { order[a], order[b] = order[b], order[a] })
	documents := make([]string, n)
	for k, at := range order {
		documents[k] = document(k+1, j.passages[at])
	}
	return record(j.set, i, strings.Join(documents, "\n\n"), q.text, q.answers...), nil
}

func document(n int, text string) string { return fmt.Sprintf("Document %d:\n%s", n, text) }

// A library numbers passages, each once.
type library struct {
	texts []string
	at    map[string]int
}

func (l *library) add(text string) int {
	if l.at == nil {
		l.at = map[string]int{}
	}
	if at, ok := l.at[text]; ok {
		return at
	}
	l.at[text] = len(l.texts)
	l.texts = append(l.texts, text)
	return len(l.texts) - 1
}

// readQuestions reads the file of a question set.
func readQuestions(i Info, o Options, j *job, parse func(raw, *library) ([]question, error)) error {
	records, err := i.readFiles(o)
	if err != nil {
		return err
	}
	var l library
	for _, r := range records {
		questions, err := parse(r, &l)
		if err != nil {
			return err
		}
		j.questions = append(j.questions, questions...)
	}
	j.passages = l.texts
	if n := int(j.number("records")); n > len(j.questions) {
		return fmt.Errorf("data set %s: the file holds %d questions that can be answered, not %d; set the option records to fewer", i.Name, len(j.questions), n)
	}
	return nil
}

// readSQuAD reads SQuAD 2.0's answerable questions (arXiv 1806.03822).
func readSQuAD(i Info, o Options, j *job) error {
	return readQuestions(i, o, j, func(r raw, l *library) ([]question, error) {
		var out []question
		var article []int
		paragraphs, ok := r.fields["paragraphs"].([]any)
		for _, p := range paragraphs {
			fields, _ := p.(map[string]any)
			text, okT := fields["context"].(string)
			questions, okQ := fields["qas"].([]any)
			ok = ok && okT && okQ
			at := l.add(text)
			article = append(article, at)
			for _, item := range questions {
				q, _ := item.(map[string]any)
				if q["is_impossible"] == true {
					continue
				}
				asked, okA := q["question"].(string)
				answers, okB := answerTexts(q["answers"])
				ok = ok && okA && okB
				out = append(out, question{text: asked, answers: answers, needed: []int{at}})
			}
		}
		if !ok {
			return nil, fmt.Errorf("%s: a SQuAD article needs paragraphs, each with a context and qas with question and answers; fetch the file again", r.source)
		}
		for k := range out {
			out[k].near = slices.DeleteFunc(slices.Clone(article), func(at int) bool { return at == out[k].needed[0] })
		}
		return out, nil
	})
}

// answerTexts are the texts of SQuAD's answers; there must be one.
func answerTexts(v any) ([]string, bool) {
	items, _ := v.([]any)
	var out []string
	for _, item := range items {
		answer, _ := item.(map[string]any)
		text, ok := answer["text"].(string)
		if !ok {
			return nil, false
		}
		out = append(out, text)
	}
	return out, len(out) > 0
}

// readHotpotQA reads HotpotQA's questions (arXiv 1809.09600), each with the ten
// passages of the distractor setting.
func readHotpotQA(i Info, o Options, j *job) error {
	return readQuestions(i, o, j, func(r raw, l *library) ([]question, error) {
		asked, okQ := r.fields["question"].(string)
		answer, okA := r.fields["answer"].(string)
		passages, ok := hotpotPassages(r.fields["context"])
		q := question{text: asked, answers: []string{answer}}
		for _, p := range passages {
			if at := l.add(p); !slices.Contains(q.needed, at) {
				q.needed = append(q.needed, at)
			}
		}
		if !ok || !okQ || !okA {
			return nil, fmt.Errorf("%s: a HotpotQA record needs question, answer and context (title and sentences of each passage); fetch the file again", r.source)
		}
		return []question{q}, nil
	})
}

// hotpotPassages are a question's passages, title and text: a list of [title,
// [sentences]] in the authors' file, a list of titles and one of sentences on
// the Hugging Face hub.
func hotpotPassages(v any) ([]string, bool) {
	pairs, ok := v.([]any)
	if columns, isObject := v.(map[string]any); isObject {
		titles, okT := columns["title"].([]any)
		sentences, okS := columns["sentences"].([]any)
		if ok = okT && okS && len(titles) == len(sentences); !ok {
			return nil, false
		}
		for i := range titles {
			pairs = append(pairs, []any{titles[i], sentences[i]})
		}
	}
	var out []string
	for _, item := range pairs {
		pair, _ := item.([]any)
		if len(pair) != 2 {
			return nil, false
		}
		title, okT := pair[0].(string)
		lines, okL := texts(pair[1])
		if !okT || !okL {
			return nil, false
		}
		out = append(out, title+"\n"+strings.Join(lines, ""))
	}
	return out, ok && len(out) > 0
}
