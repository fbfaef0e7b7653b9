package datasets

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// lines reads a text line by line, after a byte-order mark, and can hand on
// the rest of it unread.
type lines struct {
	in     *bufio.Reader
	most   int // bytes of a line
	number int // of the last line read, from 1
	begun  []byte
	peeked bool // begun is a line read ahead
	end    bool

	tooLong bool // the last line was too long, and its rest is unread
}

var errLongLine = errors.New("the line is longer")

func newLines(in io.Reader, most int) *lines {
	b := bufio.NewReaderSize(in, 1<<16)
	if mark, _ := b.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		b.Discard(3)
	}
	return &lines{in: b, most: most}
}

// peek returns the first line that is not blank, without consuming it.
func (l *lines) peek() ([]byte, error) {
	for {
		line, err := l.read()
		if err != nil {
			return nil, err
		}
		if l.end && len(line) == 0 || len(bytes.TrimSpace(line)) > 0 {
			l.begun, l.peeked = line, true
			return bytes.TrimSpace(line), nil
		}
	}
}

// rest is everything from the peeked line on.
func (l *lines) rest() io.Reader { return io.MultiReader(bytes.NewReader(l.begun), l.in) }

// last tells whether nothing but blanks follows the peeked line. It looks no
// farther than it can without consuming anything; what is more blank than that
// counts as something.
func (l *lines) last() bool {
	if l.end {
		return true
	}
	ahead, err := l.in.Peek(l.in.Size())
	return errors.Is(err, io.EOF) && len(bytes.TrimSpace(ahead)) == 0
}

// next returns the next line; done when there is none.
func (l *lines) next() (line []byte, done bool, err error) {
	if l.peeked {
		l.peeked = false
		return l.begun, false, nil
	}
	if l.end {
		return nil, true, nil
	}
	line, err = l.read()
	return line, l.end && len(line) == 0, err
}

// discard reads on to the end of a line that was too long.
func (l *lines) discard() error {
	for l.tooLong {
		_, err := l.in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			l.end, l.tooLong = true, false
		case err == nil:
			l.tooLong = false
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
	return nil
}

// read reads one line, newline included.
func (l *lines) read() ([]byte, error) {
	l.number++
	var line []byte
	for {
		part, err := l.in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > l.most:
			l.tooLong = err != nil
			return nil, fmt.Errorf("%w than %d MB; a record should be a line of its own", errLongLine, l.most>>20)
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			l.end = true
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
