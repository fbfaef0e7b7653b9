package yamlfile

import "testing"

type inner struct {
	Count int            `yaml:"count"`
	Names map[string]int `yaml:"names"`
}

type outer struct {
	Title string `yaml:"title"`
	inner `yaml:",inline"`
	Sizes []int  `yaml:"sizes,omitempty"`
	Parts part   `yaml:"part"`
	Path  string `yaml:"-"`
}

type part struct {
	On *bool `yaml:"on"`
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "the file is empty"},
		{"blanks", " \n\t\n", "the file is empty"},
		{"a remark", "# later\n", "the file is empty"},
		{"two documents", "title: a\n---\ntitle: b\n", "the file holds several YAML documents; make a file of each"},
		{"a misspelt field", "titel: a\n", `line 1: there is no field "titel"; did you mean "title"?`},
		{"no such field", "colour: a\n", `line 1: there is no field "colour"; want one of title, count, names, sizes, part`},
		{"a field that is not of the file", "Path: a\n", `line 1: there is no field "Path"; want one of title, count, names, sizes, part`},
		{"no such field of a part", "title: a\npart: {title: b}\n", `line 2: there is no field "title"; want one of on`},
		{"a field twice", "title: a\ntitle: b\n", "line 2: title: stands already in line 1; leave one out"},
		{"a text for a number", "count: many\n", `line 1: count: want a whole number, got "many"`},
		{"a text for true or false", "part:\n  on: perhaps\n", `line 2: on: want true or false, got "perhaps"`},
		{"a text in a list", "sizes:\n  - 3\n  - long\n", `line 3: sizes: want a whole number, got "long"`},
		{"a number for a list", "sizes: 3\n", `line 1: sizes: want a list of whole numbers, got "3"`},
		{"a list for a text", "title: [a]\n", "line 1: title: want a text, got a list"},
		{"a mapping for a text", "title: {a}\n", "line 1: title: want a text, got a mapping"},
		{"a text for fields", "part: on\n", `line 1: part: want fields (on, …), each as name: value, got "on"`},
		{"a list for the file", "- title\n", "line 1: want fields (title, count, names, sizes, …), each as name: value, got a list"},
		{"a list of mappings for the file", "- title: a\n", "line 1: want fields (title, count, names, sizes, …), each as name: value, got a list"},
		{"a text for the file", "title\n", `line 1: want fields (title, count, names, sizes, …), each as name: value, got "title"`},
		{"a tab", "part:\n\ton: true\n", "line 2: a tab indents this line; YAML wants blanks"},
		{"a tab in a text is no matter", "title: |\n  a\n  \tb\nsizes: [3\n", "line 5: no valid YAML: did not find expected ',' or ']'"},
		{"an open bracket", "sizes: [3\ntitle: a\n", "line 2: no valid YAML: did not find expected ',' or ']'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var into outer
			err := Decode([]byte(c.text), &into)
			if err == nil || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	var into outer
	if err := Decode([]byte("title: a\ncount: 3\nsizes:\n- 1\npart: {on: true}\n"), &into); err != nil {
		t.Fatal(err)
	}
	if into.Title != "a" || into.Count != 3 || len(into.Sizes) != 1 || !*into.Parts.On {
		t.Errorf("%+v", into)
	}
}
