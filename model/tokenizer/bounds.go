package tokenizer

import (
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	controlStructures "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
)

// A chat template comes with a model and is not trusted. The template library
// recurses as a template does, and Go cannot recover from a full stack: what
// could recurse without end is bounded.
const (
	maxTemplate  = 1 << 16 // bytes of a template; the longest known have some 20,000
	maxBrackets  = 100     // brackets inside each other in one expression
	maxMacros    = 20      // calls of macros inside each other
	maxRange     = 1 << 20 // numbers of one range
	macroDepth   = "__macro_depth"
	bracketOpen  = "([{"
	bracketClose = ")]}"
)

// checkSize refuses a template that is too long or nests too deeply to be parsed
// safely.
func checkSize(source string) error {
	if len(source) > maxTemplate {
		return fmt.Errorf("it is %d bytes long, more than %d are not read", len(source), maxTemplate)
	}
	depth := 0
	for i, c := range source {
		switch {
		case strings.HasPrefix(source[i:], "{{"), strings.HasPrefix(source[i:], "{%"):
			depth = 0 // outside of tags brackets are text
		case strings.ContainsRune(bracketOpen, c):
			depth++
		case strings.ContainsRune(bracketClose, c):
			depth = max(depth-1, 0)
		}
		if depth > maxBrackets {
			return fmt.Errorf("its brackets nest more than %d deep", maxBrackets)
		}
	}
	return nil
}

// boundedStructures are the library's statements, without those that read other
// templates and without recursive loops, which no chat template uses.
func boundedStructures() *exec.ControlStructureSet {
	set := map[string]parser.ControlStructureParser{"macro": parseMacro, "for": parseFor}
	for _, name := range []string{"autoescape", "filter", "if", "raw", "set", "with", "do", "break", "continue", "trans", "call"} {
		if p, ok := builtins.ControlStructures.Get(name); ok {
			set[name] = p
		}
	}
	return exec.NewControlStructureSet(set)
}

func parseFor(p, args *parser.Parser) (nodes.ControlStructure, error) {
	parse, _ := builtins.ControlStructures.Get("for")
	node, err := parse(p, args)
	if loop, ok := node.(*controlStructures.ForControlStructure); ok && err == nil && loop.Recursive {
		return nil, fmt.Errorf("recursive loops are not supported")
	}
	return node, err
}

// boundedMacro is a macro that counts how deep its calls stand in each other.
type boundedMacro struct {
	*controlStructures.MacroControlStructure
}

func parseMacro(p, args *parser.Parser) (nodes.ControlStructure, error) {
	parse, _ := builtins.ControlStructures.Get("macro")
	node, err := parse(p, args)
	if err != nil {
		return nil, err
	}
	macro, ok := node.(*controlStructures.MacroControlStructure)
	if !ok {
		return nil, fmt.Errorf("a macro was read as %T", node)
	}
	return boundedMacro{macro}, nil
}

// Execute defines the macro.
func (m boundedMacro) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	call, err := exec.MacroNodeToFunc(m.Macro, r)
	if err != nil {
		return fmt.Errorf("macro %s: %w", m.Name, err)
	}
	value, _ := r.Environment.Context.Get(macroDepth)
	depth, ok := value.(*int)
	if !ok {
		return fmt.Errorf("macro %s: the template has overwritten %s", m.Name, macroDepth)
	}
	r.Environment.Context.Set(m.Name, exec.Macro(func(params *exec.VarArgs) *exec.Value {
		if *depth >= maxMacros {
			return exec.AsValue(fmt.Errorf("macro %s: calls nest more than %d deep", m.Name, maxMacros))
		}
		*depth++
		defer func() { *depth-- }()
		return call(params)
	}))
	return nil
}

// boundedRange is Jinja's range. The library's own leaves a goroutine behind when
// a loop is left early.
func boundedRange(_ *exec.Evaluator, params *exec.VarArgs) ([]int, error) {
	var n []int
	for _, a := range params.Args {
		if !a.IsInteger() {
			return nil, exec.ErrInvalidCall(fmt.Errorf("range takes integers"))
		}
		n = append(n, a.Integer())
	}
	start, stop, step := 0, 0, 1
	switch len(n) {
	case 1:
		stop = n[0]
	case 2:
		start, stop = n[0], n[1]
	case 3:
		start, stop, step = n[0], n[1], n[2]
	default:
		return nil, exec.ErrInvalidCall(fmt.Errorf("range takes 1 to 3 integers"))
	}
	if step == 0 {
		return nil, exec.ErrInvalidCall(fmt.Errorf("range takes no step of 0"))
	}
	out := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(out) == maxRange {
			return nil, exec.ErrInvalidCall(fmt.Errorf("range of more than %d numbers", maxRange))
		}
		out = append(out, i)
	}
	return out, nil
}
