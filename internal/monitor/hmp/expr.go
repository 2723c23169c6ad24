package hmp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// expression reads an integer expression: + and - bind least, then & | ^, then * / %; unary + - ~, parentheses, 'c', $register. text is
// left at the first byte that was not read.
type expression struct {
	text     string
	err      string
	register func(name string) (uint64, bool)
	depth    int
}

// maxDepth is how deep parentheses and signs may be nested.
const maxDepth = 200

func (e *expression) value() (int64, bool) {
	e.skip()
	v := e.sum()
	return v, e.err == ""
}

func (e *expression) skip() { e.text = strings.TrimLeft(e.text, blanks) }

func (e *expression) fail(format string, a ...any) int64 {
	if e.err == "" {
		e.err = fmt.Sprintf(format, a...)
	}
	return 0
}

// operator takes the next character if it is one of ops.
func (e *expression) operator(ops string) byte {
	if e.err != "" || e.text == "" || strings.IndexByte(ops, e.text[0]) < 0 {
		return 0
	}
	op := e.text[0]
	e.text = e.text[1:]
	e.skip()
	return op
}

func (e *expression) sum() int64 {
	v := e.logic()
	for op := e.operator("+-"); op != 0; op = e.operator("+-") {
		if w := e.logic(); op == '+' {
			v += w
		} else {
			v -= w
		}
	}
	return v
}

func (e *expression) logic() int64 {
	v := e.product()
	for op := e.operator("&|^"); op != 0; op = e.operator("&|^") {
		switch w := e.product(); op {
		case '&':
			v &= w
		case '|':
			v |= w
		case '^':
			v ^= w
		}
	}
	return v
}

func (e *expression) product() int64 {
	v := e.unary()
	for op := e.operator("*/%"); op != 0; op = e.operator("*/%") {
		w := e.unary()
		switch {
		case op == '*':
			v *= w
		case w == 0:
			return e.fail("division by zero")
		case w == -1: // no overflow of the smallest number
			if op == '/' {
				v = -v
			} else {
				v = 0
			}
		case op == '/':
			v /= w
		default:
			v %= w
		}
	}
	return v
}

func (e *expression) unary() int64 {
	if e.depth++; e.depth > maxDepth {
		return e.fail("expression too deep")
	}
	defer func() { e.depth-- }()
	switch e.operator("+-~(") {
	case '+':
		return e.unary()
	case '-':
		return -e.unary()
	case '~':
		return ^e.unary()
	case '(':
		v := e.sum()
		if e.operator(")") == 0 {
			return e.fail("')' expected")
		}
		return v
	}
	switch {
	case e.err != "":
		return 0
	case e.text == "":
		return e.fail("unexpected end of expression")
	case e.text[0] == '\'':
		return e.character()
	case e.text[0] == '$':
		return e.readRegister()
	}
	return e.number()
}

func (e *expression) character() int64 {
	switch {
	case len(e.text) < 2:
		return e.fail("character constant expected")
	case len(e.text) < 3 || e.text[2] != '\'':
		return e.fail("missing terminating ' character")
	}
	c := e.text[1]
	e.text = e.text[3:]
	e.skip()
	return int64(c)
}

func (e *expression) readRegister() int64 {
	n := 1
	for n < len(e.text) && (isAlnum(e.text[n]) || e.text[n] == '_' || e.text[n] == '.') {
		n++
	}
	name := e.text[1:n]
	e.text = e.text[n:]
	e.skip()
	v, ok := e.register(name)
	if !ok {
		return e.fail("unknown register")
	}
	return int64(v)
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}

// number reads a number as C writes it.
func (e *expression) number() int64 {
	n := 0
	digits := "0123456789"
	if len(e.text) > 2 && e.text[0] == '0' && e.text[1]|0x20 == 'x' && strings.IndexByte("0123456789abcdefABCDEF", e.text[2]) >= 0 {
		n, digits = 2, "0123456789abcdefABCDEF"
	} else if e.text[0] == '0' {
		digits = "01234567"
	}
	for n < len(e.text) && strings.IndexByte(digits, e.text[n]) >= 0 {
		n++
	}
	if n == 0 {
		return e.fail("invalid char '%c' in expression", e.text[0])
	}
	v, err := strconv.ParseUint(e.text[:n], 0, 64)
	if errors.Is(err, strconv.ErrRange) {
		return e.fail("number too large")
	}
	e.text = e.text[n:]
	e.skip()
	return int64(v)
}
