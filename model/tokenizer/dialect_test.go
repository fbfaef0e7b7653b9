package tokenizer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRewriteExpressions(t *testing.T) {
	for source, want := range map[string]string{
		"":                                          "",
		"text { {a} } (a if b else c) x[-1]":        "text { {a} } (a if b else c) x[-1]",
		"{{ a if b else c }}":                       "{{ a if b else c }}",
		"{% set x = a if b else c %}":               "{% set x = a if b else c %}",
		"{% set x = a if b -%}":                     "{% set x = ((b) and [a] or [''])[0] -%}",
		"{{- a if b else c if d else e -}}":         "{{- ((b) and [a] or [((d) and [c] or [e])[0]])[0] -}}",
		"{{ (a if b else c) }}":                     "{{ (((b) and [a] or [c])[0] ) }}",
		"{{ f(x=a if b == c else d, y=[1 if z]) }}": "{{ f(x=((b == c) and [a] or [d])[0] , y=[((z) and [1] or [''])[0] ]) }}",
		"{{ {'if': 'else' if \"a if b else c\" else '}}'} }}":                        "{{ {'if': ((\"a if b else c\") and ['else'] or ['}}'])[0] } }}",
		"{% for x in (a if b else c) if x.if_y %}{% if (x) %}":                       "{% for x in (((b) and [a] or [c])[0] ) if x.if_y %}{% if (x) %}",
		"{# (a if b else c) #}{% raw %}{{ (a if b else c) }}{% endraw %}{{ x[-1] }}": "{# (a if b else c) #}{% raw %}{{ (a if b else c) }}{% endraw %}{{ x[::-1][0] }}",
		"{{ x[-2].y[ -1 ] + [-1] + f()[-3] + x[-1:] + x[-0] + 'a'[-1] }}":            "{{ x[::-1][1].y[::-1][0] + [-1] + f()[::-1][2] + x[-1:] + x[-0] + 'a'[::-1][0] }}",
		"{{ (a | b).strip() ~ not (c).d() ~ f(x).y() ~ (1, 2).z ~ ((e).f).g }}":      "{{ [a | b][0].strip() ~ not [c][0].d() ~ f(x).y() ~ (1, 2).z ~ [[e][0].f][0].g }}",
		"{{ (a":                  "{{ (a",
		"{{ 'a":                  "{{ 'a",
		"{{ a ] ) }}":            "{{ a ] ) }}",
		"{":                      "{",
		"{# open {{ (a if b) }}": "{# open {{ (a if b) }}",
	} {
		if diff := cmp.Diff(want, rewriteExpressions(source)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", source, diff)
		}
	}
}

// What is rewritten stays as it is when it is rewritten again, and the texts
// between the tags stay where they are.
func FuzzRewriteExpressions(f *testing.F) {
	for _, source := range []string{
		"a{{ (x if y else z) }}b", "{% set a = b if c %}", "{{ (a|b).c(d[-1]) }}", "{# #}{% raw %}{{ x[-1] }}{% endraw %}", "{{ {'a': 1 if 2}[-1] }}", "{{- 'a\\'b' -}}",
	} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		once := rewriteExpressions(source)
		if again := rewriteExpressions(once); again != once && len(source) < 1000 {
			t.Errorf("%q\nonce  %q\nagain %q", source, once, again)
		}
		before, _, _ := strings.Cut(source, "{")
		if !strings.HasPrefix(once, before) {
			t.Errorf("%q became %q", source, once)
		}
	})
}
