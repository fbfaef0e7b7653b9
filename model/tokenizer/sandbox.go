package tokenizer

import (
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A chat template is a program that comes with a model. The library that runs it
// knows neither a limit of time nor one of memory, and Go can neither stop a
// goroutine nor outlive a full stack. So templates run in a process of their own:
// this program again, started with an empty environment, which ends itself when a
// rendering takes too much.
const (
	sandboxVariable = "REFREEKV_RENDERS_TEMPLATES"
	sandboxCPU      = time.Second      // of one rendering
	sandboxWall     = 30 * time.Second // of one rendering: only where the process does not end itself
	sandboxMemory   = 256 << 20        // bytes of heap and stacks
	sandboxStack    = 32 << 20         // bytes of one stack
)

// The exit codes with which the process ends itself.
const (
	exitMemory = 3
	exitCPU    = 4
)

// A rendering is what the process is asked for.
type rendering struct {
	Source   string
	Special  map[string]string
	Messages []Message
	Prompt   bool
}

// A rendered is its answer; Error is empty where there was none.
type rendered struct{ Text, Error string }

func init() {
	if os.Getenv(sandboxVariable) == "" {
		return
	}
	signal.Ignore(os.Interrupt, syscall.SIGTERM) // it ends when its input does
	if err := serveTemplates(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveTemplates renders what it is asked for until the input ends.
func serveTemplates(in io.Reader, out io.Writer) error {
	debug.SetMaxStack(sandboxStack)
	debug.SetMemoryLimit(sandboxMemory / 4 * 3)
	boundMemory()
	busy := make(chan bool)
	go watchLimits(busy)
	requests, answers := gob.NewDecoder(in), gob.NewEncoder(out)
	var c *chat
	for {
		var r rendering
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a template: %w", err)
		}
		busy <- true
		if c == nil || c.source != r.Source {
			c = newChat(r.Source, nil)
		}
		c.special = r.Special
		text, err := c.render(r.Messages, r.Prompt)
		answer := rendered{Text: text}
		if err != nil {
			answer.Error = c.plainError(err)
		}
		busy <- false
		if err := answers.Encode(answer); err != nil {
			return fmt.Errorf("answering: %w", err)
		}
	}
}

// watchLimits ends the process when a rendering takes too much.
func watchLimits(busy <-chan bool) {
	sizes := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	for range busy {
		begin := cpuTime()
		for working := true; working; {
			select {
			case working = <-busy:
			case <-time.After(5 * time.Millisecond):
			}
			if cpuTime()-begin > sandboxCPU {
				os.Exit(exitCPU)
			}
			metrics.Read(sizes)
			if sizes[0].Value.Uint64()+sizes[1].Value.Uint64() > sandboxMemory {
				os.Exit(exitMemory)
			}
		}
	}
}

// A sandbox is the process that renders templates, started when first needed. A
// process that ended is started anew.
type sandbox struct {
	mu      sync.Mutex
	cmd     *exec.Cmd
	in      io.WriteCloser
	stderr  bytes.Buffer
	request *gob.Encoder
	answer  *gob.Decoder
}

// templates is the one sandbox of this program.
var templates sandbox

func (s *sandbox) render(r rendering) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return "", fmt.Errorf("starting the process that renders it: %w", err)
	}
	process := s.cmd.Process
	late := time.AfterFunc(sandboxWall, func() { process.Kill() })
	defer late.Stop()
	var a rendered
	if s.request.Encode(r) != nil || s.answer.Decode(&a) != nil {
		return "", s.ended()
	}
	if a.Error != "" {
		return "", errors.New(a.Error)
	}
	return a.Text, nil
}

func (s *sandbox) start() error {
	if s.cmd != nil {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if runtime.GOOS == "linux" {
		program = "/proc/self/exe" // also where the file was replaced meanwhile
	}
	cmd := exec.Command(program)
	cmd.Env = []string{sandboxVariable + "=1", "GOMAXPROCS=2", "GOTRACEBACK=none"}
	s.stderr.Reset()
	cmd.Stderr = &s.stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if s.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.request, s.answer = cmd, gob.NewEncoder(s.in), gob.NewDecoder(out)
	return nil
}

// ended says why the process ended in the middle of a rendering.
func (s *sandbox) ended() error {
	s.in.Close()
	err := s.cmd.Wait()
	s.cmd = nil
	text := s.stderr.String()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == exitMemory, strings.Contains(text, "out of memory"), strings.Contains(text, "cannot allocate"), strings.Contains(text, "failed to allocate"):
		return fmt.Errorf("it takes more than %d MB of memory", sandboxMemory>>20)
	case errors.As(err, &exit) && exit.ExitCode() == exitCPU:
		return fmt.Errorf("it takes more than %v of computing", sandboxCPU)
	case strings.Contains(text, "stack exceeds"):
		return errors.New("it nests without end")
	}
	first, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return fmt.Errorf("the process that renders it ended (%v): %s", err, first)
}
