package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// expr is a top-level expression with the comment block before it.
type expr struct {
	file string
	line int
	doc  *doc
	v    *dict
}

func (e *expr) errorf(format string, a ...any) error {
	return fmt.Errorf("%s:%d: %s", filepath.Base(e.file), e.line, fmt.Sprintf(format, a...))
}

// dict is an object of the language, in order.
type dict struct {
	keys   []string
	values map[string]any // string, bool, *dict or []any
}

// lexer reads the QAPI language.
type lexer struct {
	file string
	text string
	pos  int
	line int
	doc  []string // comment block that was read last
}

func (l *lexer) errorf(format string, a ...any) error {
	return fmt.Errorf("%s:%d: %s", filepath.Base(l.file), l.line, fmt.Sprintf(format, a...))
}

// space skips white space and comments; blocks between lines of ## are kept as documentation.
func (l *lexer) space() error {
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n':
			l.line++
			l.pos++
		case c == ' ' || c == '\t':
			l.pos++
		case c == '#':
			if err := l.comment(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

func (l *lexer) rest() string {
	line, _, _ := strings.Cut(l.text[l.pos:], "\n")
	l.pos += len(line)
	return line
}

func (l *lexer) comment() error {
	if l.rest() != "##" {
		return nil
	}
	start := l.line
	l.doc = nil
	for {
		if l.pos == len(l.text) {
			return fmt.Errorf("%s:%d: documentation without an end", filepath.Base(l.file), start)
		}
		l.pos++
		l.line++
		line := l.rest()
		if line == "##" {
			return nil
		}
		if !strings.HasPrefix(line, "#") {
			return l.errorf("documentation must begin with # in each line")
		}
		l.doc = append(l.doc, strings.TrimPrefix(line[1:], " "))
	}
}

// parseFile reads all expressions of a module.
func parseFile(path string) ([]*expr, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	l := &lexer{file: path, text: string(text), line: 1}
	var list []*expr
	for {
		l.doc = nil
		if err := l.space(); err != nil {
			return nil, err
		}
		if l.pos == len(l.text) {
			return list, nil
		}
		e := &expr{file: path, line: l.line}
		comment := l.doc
		v, err := l.value()
		if err != nil {
			return nil, err
		}
		var ok bool
		if e.v, ok = v.(*dict); !ok {
			return nil, e.errorf("not an object")
		}
		if e.doc, err = parseDoc(e, comment); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
}

func (l *lexer) value() (any, error) {
	if err := l.space(); err != nil {
		return nil, err
	}
	if l.pos == len(l.text) {
		return nil, l.errorf("end of file in an expression")
	}
	switch c := l.text[l.pos]; {
	case c == '\'':
		return l.str()
	case c == '{':
		return l.object()
	case c == '[':
		return l.array()
	case strings.HasPrefix(l.text[l.pos:], "true"):
		l.pos += 4
		return true, nil
	case strings.HasPrefix(l.text[l.pos:], "false"):
		l.pos += 5
		return false, nil
	}
	return nil, l.errorf("stray %q", l.text[l.pos])
}

func (l *lexer) str() (string, error) {
	end := strings.IndexAny(l.text[l.pos+1:], "'\\\n")
	if end < 0 || l.text[l.pos+1+end] != '\'' {
		return "", l.errorf("string without an end")
	}
	s := l.text[l.pos+1 : l.pos+1+end]
	l.pos += end + 2
	return s, nil
}

// next reads a structural character, which must be one of want.
func (l *lexer) next(want string) (byte, error) {
	if err := l.space(); err != nil {
		return 0, err
	}
	if l.pos == len(l.text) || strings.IndexByte(want, l.text[l.pos]) < 0 {
		return 0, l.errorf("expected one of %s", want)
	}
	l.pos++
	return l.text[l.pos-1], nil
}

// peek tells whether the next character is c, and takes it then.
func (l *lexer) peek(c byte) (bool, error) {
	err := l.space()
	if err == nil && l.pos < len(l.text) && l.text[l.pos] == c {
		l.pos++
		return true, nil
	}
	return false, err
}

func (l *lexer) object() (*dict, error) {
	l.pos++
	d := &dict{values: map[string]any{}}
	if end, err := l.peek('}'); end || err != nil {
		return d, err
	}
	for {
		if err := l.space(); err != nil {
			return nil, err
		}
		key, err := l.str()
		if err != nil {
			return nil, err
		}
		if _, err := l.next(":"); err != nil {
			return nil, err
		}
		v, err := l.value()
		if err != nil {
			return nil, err
		}
		if _, ok := d.values[key]; ok {
			return nil, l.errorf("duplicate key '%s'", key)
		}
		d.keys = append(d.keys, key)
		d.values[key] = v
		if c, err := l.next(",}"); c == '}' || err != nil {
			return d, err
		}
	}
}

func (l *lexer) array() ([]any, error) {
	l.pos++
	list := []any{}
	if end, err := l.peek(']'); end || err != nil {
		return list, err
	}
	for {
		v, err := l.value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
		if c, err := l.next(",]"); c == ']' || err != nil {
			return list, err
		}
	}
}
