package datasets

import (
	"fmt"
	"maps"
	"slices"
)

// withoutPictures drops TheoremQA's questions that need a picture (53 of 800).
func withoutPictures(r raw) ([]raw, error) {
	if picture, ok := r.fields["Picture"]; ok && picture != nil && picture != "NONE" && picture != "" {
		return nil, nil
	}
	return []raw{r}, nil
}

// eachTurn makes every CoQA question a record of its own, with its story. answer is
// the main answer, answers holds those of other people too, and history the
// earlier questions with their main answers, as the test set is asked.
func eachTurn(r raw) ([]raw, error) {
	story, ok := r.fields["story"].(string)
	questions, okQ := r.fields["questions"].([]any)
	answers, okA := r.fields["answers"].([]any)
	if !ok || !okQ || !okA || len(questions) != len(answers) {
		return nil, fmt.Errorf("%s: a CoQA record needs a story and as many questions as answers; fetch the file again", r.source)
	}
	others, _ := r.fields["additional_answers"].(map[string]any)
	id := ownID(r.fields)
	var out []raw
	history := ""
	for turn := range questions {
		question, okQ := inputText(questions[turn])
		answer, okA := inputText(answers[turn])
		if !okQ || !okA {
			return nil, fmt.Errorf("%s, turn %d: question or answer has no input_text; fetch the file again", r.source, turn+1)
		}
		all := []any{answer}
		for _, who := range slices.Sorted(maps.Keys(others)) {
			turns, _ := others[who].([]any)
			if turn >= len(turns) {
				return nil, fmt.Errorf("%s, turn %d: additional_answers %q ends before it; fetch the file again", r.source, turn+1, who)
			}
			other, ok := inputText(turns[turn])
			if !ok {
				return nil, fmt.Errorf("%s, turn %d: additional_answers %q has no input_text; fetch the file again", r.source, turn+1, who)
			}
			all = append(all, other)
		}
		fields := map[string]any{"story": story, "history": history, "question": question, "answer": answer, "answers": all}
		out = append(out, r.part("turn", turn+1, id, fields))
		history += "Question: " + question + "\n\nAnswer: " + answer + "\n\n"
	}
	return out, nil
}

func inputText(turn any) (string, bool) {
	fields, _ := turn.(map[string]any)
	text, ok := fields["input_text"].(string)
	return text, ok
}

// part is the n-th record (from 1) that r splits into.
func (r raw) part(kind string, n int, id string, fields map[string]any) raw {
	if id != "" {
		fields["id"] = fmt.Sprintf("%s-%d", id, n)
	}
	return raw{fields, fmt.Sprintf("%s, %s %d", r.source, kind, n)}
}

// eachInstruction makes every question of an L-Eval document a record with
// LongBench's names: context, input and answers.
func eachInstruction(r raw) ([]raw, error) {
	document, questions, answers, err := lEvalFields(r)
	if err != nil {
		return nil, err
	}
	var out []raw
	for i, question := range questions {
		fields := map[string]any{"context": document, "input": question, "answers": []any{answers[i]}}
		out = append(out, r.part("question", i+1, ownID(r.fields), fields))
	}
	return out, nil
}

// lEvalFields are the document, the questions and the answers of an L-Eval record.
func lEvalFields(r raw) (document string, questions, answers []string, err error) {
	document, ok := r.fields["input"].(string)
	questions, okQ := texts(r.fields["instructions"])
	answers, okA := texts(r.fields["outputs"])
	if !ok || !okQ || !okA || len(questions) != len(answers) {
		return "", nil, nil, fmt.Errorf("%s: an L-Eval record needs input (the document) and as many instructions as outputs; fetch the file again", r.source)
	}
	return document, questions, answers, nil
}

// texts is a list of nothing but texts.
func texts(v any) ([]string, bool) {
	items, ok := v.([]any)
	out := make([]string, len(items))
	for i, item := range items {
		text, isText := item.(string)
		if !isText {
			return nil, false
		}
		out[i] = text
	}
	return out, ok
}

// lengthBucket adds the range of length by which LongBench-E reports its
// scores: 0-4k, 4-8k or 8k+ words.
func lengthBucket(r raw) ([]raw, error) {
	length, ok := r.fields["length"].(int64)
	if !ok {
		return nil, fmt.Errorf("%s: field \"length\" is no whole number; LongBench-E reports scores by it", r.source)
	}
	bucket := "8k+"
	switch {
	case length < 4000:
		bucket = "0-4k"
	case length < 8000:
		bucket = "4-8k"
	}
	r.fields["length_bucket"] = bucket
	return []raw{r}, nil
}
