package qapi

import (
	"strconv"
	"unicode/utf8"
)

// Limits on one message, as QEMU has them.
const (
	maxTokenBytes = 64 << 20
	maxTokens     = 2 << 20
	maxNesting    = 1 << 10
)

// Stream reads JSON values from a stream of bytes that may come in any pieces. It takes what QEMU's monitor takes: values one after the
// other, strings in double or single quotes. The zero value is ready for use.
type Stream struct {
	text   []byte // of the tokens of the unfinished message, and of the token being read
	tokens []token
	start  int // of the token being read
	state  lexState
	depth  [2]int // open braces and brackets
}

type tokenKind uint8

const (
	tokError tokenKind = iota
	tokOpenBrace
	tokCloseBrace
	tokOpenBracket
	tokCloseBracket
	tokColon
	tokComma
	tokInteger
	tokFloat
	tokKeyword
	tokString
)

type token struct {
	kind       tokenKind
	start, end int
}

// lexState is what the bytes before the next one add up to.
type lexState uint8

const (
	lexStart lexState = iota
	lexRecovery
	lexDouble
	lexDoubleEscape
	lexSingle
	lexSingleEscape
	lexSign
	lexZero
	lexDigits
	lexMantissa
	lexMantissaDigits
	lexExponent
	lexExponentSign
	lexExponentDigits
	lexKeyword
)

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Feed adds bytes to the stream; emit is called for each value that they complete and each mistake. After a mistake reading goes on at
// the next byte that may begin a message.
func (s *Stream) Feed(data []byte, emit func(v any, err error)) {
	for _, c := range data {
		for !s.step(c, emit) {
		}
		if len(s.text)-s.start > maxTokenBytes {
			s.fail("JSON token size limit exceeded", emit)
			s.state = lexStart
		}
	}
}

// Flush ends the input: a message that is incomplete is a mistake.
func (s *Stream) Flush(emit func(v any, err error)) {
	for s.state != lexStart {
		s.flushStep(emit)
	}
	if len(s.tokens) > 0 {
		s.finish(emit)
	}
}

// flushStep ends the token being read.
func (s *Stream) flushStep(emit func(v any, err error)) {
	if kind, ok := s.state.terminal(); ok {
		s.add(kind, emit)
		s.state = lexStart
		return
	}
	if s.state != lexRecovery {
		s.stray(emit)
	}
	s.state = lexStart
}

// terminal is the kind of token that may end in a state without a look at the next byte.
func (st lexState) terminal() (tokenKind, bool) {
	switch st {
	case lexZero, lexDigits:
		return tokInteger, true
	case lexMantissaDigits, lexExponentDigits:
		return tokFloat, true
	case lexKeyword:
		return tokKeyword, true
	}
	return tokError, false
}

// structural are the bytes that are tokens of their own.
var structural = [256]tokenKind{'{': tokOpenBrace, '}': tokCloseBrace, '[': tokOpenBracket, ']': tokCloseBracket, ':': tokColon, ',': tokComma}

// step looks at a byte; false means that it only ended a token and has to be looked at again.
func (s *Stream) step(c byte, emit func(v any, err error)) bool {
	next := lexState(0)
	switch s.state {
	case lexStart:
		return s.begin(c, emit)
	case lexRecovery:
		if c == '\t' || c >= 0x20 && c < 0xfe && structural[c] == tokError {
			return true
		}
		s.state = lexStart
		return false
	case lexDouble, lexSingle:
		quote, escape := byte('"'), lexDoubleEscape
		if s.state == lexSingle {
			quote, escape = '\'', lexSingleEscape
		}
		switch {
		case c == quote:
			s.text = append(s.text, c)
			s.add(tokString, emit)
			s.state = lexStart
			return true
		case c == '\\':
			next = escape
		case c >= 0x20 && c < 0xfe:
			next = s.state
		}
	case lexDoubleEscape, lexSingleEscape:
		if c >= 0x20 && c < 0xfe {
			next = lexDouble
			if s.state == lexSingleEscape {
				next = lexSingle
			}
		}
	case lexKeyword:
		if c >= 'a' && c <= 'z' {
			next = lexKeyword
		}
	default:
		next = s.state.number(c)
		if next == lexStart && s.state == lexZero && isDigit(c) { // no leading zeros
			s.text = append(s.text, c)
			s.stray(emit)
			s.state = lexRecovery
			return true
		}
	}
	if next != lexStart {
		s.text = append(s.text, c)
		s.state = next
		return true
	}
	if kind, ok := s.state.terminal(); ok {
		s.add(kind, emit)
		s.state = lexStart
		return false
	}
	s.text = append(s.text, c)
	s.stray(emit)
	s.state = lexRecovery
	return true
}

// number is the state after one more byte of a number, lexStart if it cannot be part of it.
func (st lexState) number(c byte) lexState {
	exponent := c == 'e' || c == 'E'
	switch {
	case st == lexSign && c == '0':
		return lexZero
	case (st == lexSign || st == lexDigits) && isDigit(c):
		return lexDigits
	case (st == lexZero || st == lexDigits) && c == '.':
		return lexMantissa
	case (st == lexMantissa || st == lexMantissaDigits) && isDigit(c):
		return lexMantissaDigits
	case (st == lexDigits || st == lexMantissaDigits) && exponent:
		return lexExponent
	case st == lexExponent && (c == '+' || c == '-'):
		return lexExponentSign
	case (st == lexExponent || st == lexExponentSign || st == lexExponentDigits) && isDigit(c):
		return lexExponentDigits
	}
	return lexStart
}

// begin looks at the first byte of a token.
func (s *Stream) begin(c byte, emit func(v any, err error)) bool {
	if kind := structural[c]; kind != tokError {
		s.text = append(s.text, c)
		s.add(kind, emit)
		return true
	}
	switch {
	case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		return true
	case c == '"':
		s.state = lexDouble
	case c == '\'':
		s.state = lexSingle
	case c == '0':
		s.state = lexZero
	case isDigit(c):
		s.state = lexDigits
	case c == '-':
		s.state = lexSign
	case c >= 'a' && c <= 'z':
		s.state = lexKeyword
	default:
		s.text = append(s.text, c)
		s.stray(emit)
		s.state = lexRecovery
		return true
	}
	s.text = append(s.text, c)
	return true
}

func (s *Stream) stray(emit func(v any, err error)) {
	text := s.text[s.start:]
	for i, c := range text {
		if c == 0 {
			text = text[:i]
			break
		}
	}
	s.fail("JSON parse error, stray '"+string(text)+"'", emit)
}

// fail reports a mistake and drops the message.
func (s *Stream) fail(text string, emit func(v any, err error)) {
	s.drop()
	emit(nil, Errorf("%s", text))
}

// keepText is the size up to which the buffer is kept for the next message.
const keepText = 1 << 16

func (s *Stream) drop() {
	s.text, s.tokens, s.start, s.depth = s.text[:0], s.tokens[:0], 0, [2]int{}
	if cap(s.text) > keepText {
		s.text, s.tokens = nil, nil
	}
}

// add completes a token, and perhaps the message.
func (s *Stream) add(kind tokenKind, emit func(v any, err error)) {
	switch kind {
	case tokOpenBrace:
		s.depth[0]++
	case tokCloseBrace:
		s.depth[0]--
	case tokOpenBracket:
		s.depth[1]++
	case tokCloseBracket:
		s.depth[1]--
	}
	switch {
	case len(s.text)+1 > maxTokenBytes:
		s.fail("JSON token size limit exceeded", emit)
		return
	case len(s.tokens)+1 > maxTokens:
		s.fail("JSON token count limit exceeded", emit)
		return
	case s.depth[0]+s.depth[1] > maxNesting:
		s.fail("JSON nesting depth limit exceeded", emit)
		return
	}
	s.tokens = append(s.tokens, token{kind, s.start, len(s.text)})
	s.start = len(s.text)
	if (s.depth[0] > 0 || s.depth[1] > 0) && s.depth[0] >= 0 && s.depth[1] >= 0 {
		return
	}
	s.finish(emit)
}

func (s *Stream) finish(emit func(v any, err error)) {
	p := parser{text: s.text, tokens: s.tokens}
	v, ok := p.value()
	s.drop()
	if !ok {
		emit(nil, Errorf("JSON parse error, %s", p.err))
		return
	}
	emit(v, nil)
}

// ParseJSON reads one value from text, as QEMU reads JSON on its command line.
func ParseJSON(text string) (v any, err error) {
	var s Stream
	n := 0
	emit := func(got any, e error) {
		switch {
		case err != nil:
		case e != nil:
			err = e
		case n > 0:
			err = Errorf("Expecting at most one JSON value")
		default:
			v, n = got, 1
		}
	}
	s.Feed([]byte(text), emit)
	s.Flush(emit)
	if err == nil && n == 0 {
		err = Errorf("Expecting a JSON value")
	}
	if err != nil {
		v = nil
	}
	return v, err
}

// parser makes a value of a message's tokens.
type parser struct {
	text   []byte
	tokens []token
	err    string
}

func (p *parser) fail(text string) (any, bool) {
	if p.err == "" {
		p.err = text
	}
	return nil, false
}

const prematureEnd = "premature EOI"

func (p *parser) pop() (t token, ok bool) {
	if len(p.tokens) == 0 {
		p.fail(prematureEnd)
		return t, false
	}
	t, p.tokens = p.tokens[0], p.tokens[1:]
	return t, true
}

func (p *parser) value() (any, bool) {
	t, ok := p.pop()
	if !ok {
		return nil, false
	}
	text := p.text[t.start:t.end]
	switch t.kind {
	case tokOpenBrace:
		return p.object()
	case tokOpenBracket:
		return p.array()
	case tokInteger:
		if i, err := strconv.ParseInt(string(text), 10, 64); err == nil {
			return i, true
		}
		if u, err := strconv.ParseUint(string(text), 10, 64); err == nil {
			return u, true
		}
		f, _ := strconv.ParseFloat(string(text), 64)
		return f, true
	case tokFloat:
		f, _ := strconv.ParseFloat(string(text), 64)
		return f, true
	case tokString:
		return p.str(text)
	case tokKeyword:
		switch string(text) {
		case "true":
			return true, true
		case "false":
			return false, true
		case "null":
			return nil, true
		}
		return p.fail("invalid keyword '" + string(text) + "'")
	}
	return p.fail("expecting value")
}

func (p *parser) object() (any, bool) {
	o := new(Object)
	if len(p.tokens) > 0 && p.tokens[0].kind == tokCloseBrace {
		p.pop()
		return o, true
	}
	for {
		if !p.pair(o) {
			return nil, false
		}
		switch t, ok := p.pop(); {
		case !ok:
			return nil, false
		case t.kind == tokCloseBrace:
			return o, true
		case t.kind != tokComma:
			return p.fail("expected separator in dict")
		}
	}
}

func (p *parser) pair(o *Object) bool {
	key, ok := p.value()
	name, isText := key.(string)
	if !ok || !isText {
		p.fail("key is not a string in object")
		return false
	}
	t, ok := p.pop()
	if !ok {
		return false
	}
	if t.kind != tokColon {
		p.fail("missing : in object pair")
		return false
	}
	v, ok := p.value()
	if !ok {
		p.fail("Missing value in dict")
		return false
	}
	if o.Has(name) {
		p.fail("duplicate key")
		return false
	}
	o.Set(name, v)
	return true
}

func (p *parser) array() (any, bool) {
	list := []any{}
	if len(p.tokens) > 0 && p.tokens[0].kind == tokCloseBracket {
		p.pop()
		return list, true
	}
	for {
		v, ok := p.value()
		if !ok {
			return p.fail("expecting value")
		}
		list = append(list, v)
		switch t, ok := p.pop(); {
		case !ok:
			return nil, false
		case t.kind == tokCloseBracket:
			return list, true
		case t.kind != tokComma:
			return p.fail("expected separator in list")
		}
	}
}

// str reads a string with its quotes.
func (p *parser) str(text []byte) (any, bool) {
	text = text[1 : len(text)-1]
	simple := true
	for _, c := range text {
		if c == '\\' || c >= 0x80 {
			simple = false
			break
		}
	}
	if simple {
		return string(text), true
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		if text[0] != '\\' {
			n := validRune(text)
			if n == 0 {
				return p.fail("invalid UTF-8 sequence in string")
			}
			out = append(out, text[:n]...)
			text = text[n:]
			continue
		}
		if len(text) > 1 && text[1] == 'u' {
			r, n := unicodeEscape(text)
			if r < 0 {
				return p.fail(string(text[:n]) + " is not a valid Unicode character")
			}
			if r == 0 { // as C's strings would: two bytes stand for the zero
				out = append(out, 0xc0, 0x80)
			} else {
				out = utf8.AppendRune(out, r)
			}
			text = text[n:]
			continue
		}
		c := escapes[text[1]]
		if c == 0 {
			return p.fail("invalid escape sequence in string")
		}
		out = append(out, c)
		text = text[2:]
	}
	return string(out), true
}

var escapes = [256]byte{'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// validRune is the length of the character that text begins with, 0 if it is none that QEMU takes. Noncharacters are none; zero may be
// written in two bytes.
func validRune(text []byte) int {
	if len(text) > 1 && text[0] == 0xc0 && text[1] == 0x80 {
		return 2
	}
	r, n := utf8.DecodeRune(text)
	if r == utf8.RuneError && n <= 1 || noncharacter(r) {
		return 0
	}
	return n
}

func noncharacter(r rune) bool { return r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe }

// unicodeEscape reads \uXXXX, or two of them that make one character; r < 0 if it is none. n is the length of what was looked at.
func unicodeEscape(text []byte) (r rune, n int) {
	r, n = hex4(text[2:]), min(6, len(text))
	if r >= 0xd800 && r <= 0xdbff && len(text) > 7 && text[6] == '\\' && text[7] == 'u' {
		low := hex4(text[8:])
		if low < 0xdc00 || low > 0xdfff {
			return -1, n
		}
		if r = 0x10000 + (r&0x3ff)<<10 | low&0x3ff; noncharacter(r) {
			return -1, 12
		}
		return r, 12
	}
	if r >= 0xd800 && r <= 0xdfff || noncharacter(r) {
		return -1, n
	}
	return r, n
}

func hex4(text []byte) rune {
	if len(text) < 4 {
		return -1
	}
	v, err := strconv.ParseUint(string(text[:4]), 16, 32)
	if err != nil {
		return -1
	}
	return rune(v)
}
