package datasets

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// optionNames name the options of a multiple-choice question.
var optionNames = []string{"A", "B", "C", "D"}

// choices are the fields of a multiple-choice question with four options:
// question, the options one by one (A to D) and together (options: lines
// "A: text"), and the right letter (answers).
func choices(question string, options []string, right int) map[string]any {
	fields := map[string]any{"question": question, "answers": []any{optionNames[right]}}
	lines := make([]string, len(optionNames))
	for i, letter := range optionNames {
		fields[letter] = options[i]
		lines[i] = letter + ": " + options[i]
	}
	fields["options"] = strings.Join(lines, "\n")
	return fields
}

// gpqaSeed makes the order of GPQA's options, since the authors of the
// evaluation publish none.
const gpqaSeed = 1

var gpqaColumns = []string{"Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"}

// gpqaChoices puts a GPQA question's options in an order that depends on the
// seed and the question alone: option_order says which of the file's columns
// stands at A to D (0 the correct answer, 1 to 3 the incorrect ones).
func gpqaChoices(r raw) ([]raw, error) {
	values := make([]string, len(gpqaColumns))
	for i, name := range gpqaColumns {
		text, ok := r.fields[name].(string)
		if !ok || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("%s: column %q is missing or empty; a GPQA record needs it", r.source, name)
		}
		values[i] = text
	}
	hash := fnv.New64a()
	hash.Write([]byte(values[0]))
	order := rand.New(rand.NewPCG(gpqaSeed, hash.Sum64())).Perm(len(optionNames))
	options, columns := make([]string, len(order)), make([]any, len(order))
	for i, column := range order {
		options[i], columns[i] = values[1+column], int64(column)
	}
	fields := choices(values[0], options, slices.Index(order, 0))
	fields["option_order"], fields["option_seed"] = columns, int64(gpqaSeed)
	for ours, theirs := range map[string]string{"id": "Record ID", "domain": "High-level domain", "subdomain": "Subdomain"} {
		if v, ok := r.fields[theirs]; ok {
			fields[ours] = v
		}
	}
	return []raw{{fields, r.source}}, nil
}

// stemSubjects are the subjects that MMLU's authors (arXiv 2009.03300) count as
// STEM. Some harnesses count anatomy too.
var stemSubjects = []string{
	"abstract_algebra", "astronomy", "college_biology", "college_chemistry", "college_computer_science", "college_mathematics",
	"college_physics", "computer_security", "conceptual_physics", "electrical_engineering", "elementary_mathematics",
	"high_school_biology", "high_school_chemistry", "high_school_computer_science", "high_school_mathematics",
	"high_school_physics", "high_school_statistics", "machine_learning",
}

// mmluSTEM keeps MMLU's STEM subjects, from the columns of the Hugging Face hub
// (question, subject, choices, answer 0 to 3) or those of the authors' CSV
// (question, A to D, answer letter), whose file's name tells the subject.
func mmluSTEM(r raw) ([]raw, error) {
	subject, ok := r.fields["subject"].(string)
	if !ok {
		file, _, _ := strings.Cut(filepath.Base(r.source), ":")
		subject, _, ok = strings.Cut(file, "_test.csv")
		if !ok {
			return nil, fmt.Errorf("%s: field \"subject\" is missing, and the file is not named SUBJECT_test.csv; one of them must tell the subject", r.source)
		}
	}
	if !slices.Contains(stemSubjects, subject) {
		return nil, nil
	}
	question, okQ := r.fields["question"].(string)
	options, okO := texts(r.fields["choices"])
	if !okO {
		options, okO = nil, true
		for _, letter := range optionNames {
			option, ok := r.fields[letter].(string)
			options, okO = append(options, option), okO && ok
		}
	}
	right := -1
	switch answer := r.fields["answer"].(type) {
	case int64:
		right = int(answer)
	case string:
		right = slices.Index(optionNames, answer)
	}
	if !okQ || !okO || len(options) != len(optionNames) || right < 0 || right >= len(optionNames) {
		return nil, fmt.Errorf("%s: an MMLU record needs question, four choices (or A to D) and answer (0 to 3, or a letter); fetch the file again", r.source)
	}
	fields := choices(question, options, right)
	fields["subject"] = subject
	if id := ownID(r.fields); id != "" {
		fields["id"] = id
	}
	return []raw{{fields, r.source}}, nil
}

// qualityChoices makes every question on an article a record of its own, from
// QuALITY's own files (arXiv 2112.08608) or L-Eval's edition of them.
func qualityChoices(r raw) ([]raw, error) {
	if _, ok := r.fields["instructions"]; ok {
		return lEvalQuality(r)
	}
	article, ok := r.fields["article"].(string)
	questions, okQ := r.fields["questions"].([]any)
	if !ok || !okQ {
		return nil, fmt.Errorf("%s: a QuALITY record needs an article and questions; fetch the file again", r.source)
	}
	var out []raw
	for i, item := range questions {
		q, _ := item.(map[string]any)
		question, ok := q["question"].(string)
		options, okO := texts(q["options"])
		right, okR := q["gold_label"].(int64)
		if !ok || !okO || !okR || len(options) != len(optionNames) || right < 1 || right > int64(len(optionNames)) {
			return nil, fmt.Errorf("%s, question %d: it needs question, four options and gold_label (1 to 4; the test split has none)", r.source, i+1)
		}
		fields := choices(question, options, int(right-1))
		fields["article"] = article
		if hard, ok := q["difficult"]; ok {
			fields["difficult"] = hard
		}
		part := r.part("question", i+1, "", fields)
		if id, ok := q["question_unique_id"].(string); ok {
			part.fields["id"] = id
		}
		out = append(out, part)
	}
	return out, nil
}

var (
	// An instruction of L-Eval holds the question and its options "(A) …".
	lEvalOption = regexp.MustCompile(`\n\s*\(([A-D])\) `)
	lEvalAnswer = regexp.MustCompile(`^\(([A-D])\) `)
)

func lEvalQuality(r raw) ([]raw, error) {
	document, instructions, answers, err := lEvalFields(r)
	if err != nil {
		return nil, err
	}
	var out []raw
	for i, text := range instructions {
		at := lEvalOption.FindAllStringSubmatchIndex(text, -1)
		answer := lEvalAnswer.FindStringSubmatch(answers[i])
		if len(at) != len(optionNames) || answer == nil {
			return nil, fmt.Errorf("%s, question %d: it needs four options, \"(A) …\" to \"(D) …\" a line, and an answer that begins with a letter; fetch the file again", r.source, i+1)
		}
		options := make([]string, len(optionNames))
		for k, m := range at {
			end := len(text)
			if k+1 < len(at) {
				end = at[k+1][0]
			}
			if text[m[2]:m[3]] != optionNames[k] {
				return nil, fmt.Errorf("%s, question %d: option %d is not %s; fetch the file again", r.source, i+1, k+1, optionNames[k])
			}
			options[k] = strings.TrimSpace(text[m[1]:end])
		}
		fields := choices(strings.TrimSpace(text[:at[0][0]]), options, slices.Index(optionNames, answer[1]))
		fields["article"] = document
		out = append(out, r.part("question", i+1, ownID(r.fields), fields))
	}
	return out, nil
}
