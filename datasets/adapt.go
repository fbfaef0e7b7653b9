package datasets

import "fmt"

// withoutPictures drops TheoremQA's questions that need a picture (53 of 800).
func withoutPictures(_ Info, in []raw) ([]raw, error) {
	var out []raw
	for _, r := range in {
		if picture, ok := r.fields["Picture"]; ok && picture != nil && picture != "NONE" && picture != "" {
			continue
		}
		out = append(out, r)
	}
	return out, nil
}

// eachTurn makes every CoQA question a record of its own, with its story; the
// answer is the main one. Earlier turns are not shown.
func eachTurn(i Info, in []raw) ([]raw, error) {
	var out []raw
	for _, r := range in {
		story, ok := r.fields["story"].(string)
		questions, okQ := r.fields["questions"].([]any)
		answers, okA := r.fields["answers"].([]any)
		if !ok || !okQ || !okA || len(questions) != len(answers) {
			return nil, fmt.Errorf("%s: a %s record needs a story and as many questions as answers; fetch the file again", r.source, i.Name)
		}
		id := ownID(r.fields)
		for turn := range questions {
			question, okQ := inputText(questions[turn])
			answer, okA := inputText(answers[turn])
			if !okQ || !okA {
				return nil, fmt.Errorf("%s, turn %d: question or answer has no input_text; fetch the file again", r.source, turn+1)
			}
			fields := map[string]any{"story": story, "question": question, "answer": answer}
			if id != "" {
				fields["id"] = fmt.Sprintf("%s-%d", id, turn+1)
			}
			out = append(out, raw{fields, fmt.Sprintf("%s, turn %d", r.source, turn+1)})
		}
	}
	return out, nil
}

func inputText(turn any) (string, bool) {
	fields, _ := turn.(map[string]any)
	text, ok := fields["input_text"].(string)
	return text, ok
}
