// Package getopt takes command lines apart the way the C library's getopt_long does: options and operands in any order, bundled short
// options, unambiguous beginnings of long ones. Tools whose messages name the argument that was looked at last depend on its details.
package getopt

import (
	"fmt"
	"io"
	"strings"
)

// Long is a long option.
type Long struct {
	Name string
	Arg  bool // needs an argument
	Val  int  // what Next returns
}

// The results of Next besides the options' own values.
const (
	End     = -1
	Operand = 1 // only if the short options begin with a dash
	Unknown = '?'
	Missing = ':' // only if the short options begin with a colon
)

// Parser walks through a command line. Args[0] is the program's name; after the end the operands are Args[Index:].
type Parser struct {
	Args  []string
	Index int    // of the next element to look at
	Value string // argument of the option just returned

	short    string
	long     []Long
	quiet    bool
	inOrder  bool // stop at the first operand
	each     bool // return operands where they are
	messages io.Writer

	rest              string // of a bundle of short options
	firstOp, behindOp int    // operands skipped so far: Args[firstOp:behindOp]
}

// New makes a parser. short lists the short options' letters, each followed by a colon if it has an argument; a leading '+' stops at the first
// operand, a leading '-' returns each operand in its place; a leading ':' (after that) keeps messages quiet and tells missing
// arguments apart. Messages about mistakes go to w.
func New(args []string, short string, long []Long, w io.Writer) *Parser {
	p := &Parser{Args: args, Index: 1, long: long, messages: w, firstOp: 1, behindOp: 1}
	short, p.inOrder = strings.CutPrefix(short, "+")
	short, p.each = strings.CutPrefix(short, "-")
	p.short, p.quiet = strings.CutPrefix(short, ":")
	return p
}

// Operands are the arguments that are no options; complete only after the end.
func (p *Parser) Operands() []string { return p.Args[p.Index:] }

// Last is the element that messages name: the one before the next to be looked at.
func (p *Parser) Last() string { return p.Args[p.Index-1] }

// Next returns the next option's letter or value, Unknown, Missing, or End.
func (p *Parser) Next() int {
	p.Value = ""
	if p.rest == "" {
		if p.each && p.Index < len(p.Args) && !isOption(p.Args[p.Index]) {
			p.Value = p.Args[p.Index]
			p.Index++
			return Operand
		}
		if !p.advance() {
			return End
		}
		arg := p.Args[p.Index]
		if name, ok := strings.CutPrefix(arg, "--"); ok && p.long != nil {
			return p.nextLong(name)
		}
		p.rest = arg[1:]
	}
	return p.nextShort()
}

// advance moves to the next element that is an option, with the operands passed moved behind it later. It is false at the end.
func (p *Parser) advance() bool {
	if p.behindOp > p.Index {
		p.behindOp = p.Index
	}
	if p.firstOp > p.Index {
		p.firstOp = p.Index
	}
	if !p.inOrder && !p.each {
		p.gather()
		for p.Index < len(p.Args) && !isOption(p.Args[p.Index]) {
			p.Index++
		}
		p.behindOp = p.Index
	}
	if p.Index < len(p.Args) && p.Args[p.Index] == "--" {
		p.Index++
		p.gather()
		if p.firstOp == p.behindOp {
			p.firstOp = p.Index
		}
		p.behindOp = len(p.Args)
		p.Index = len(p.Args)
	}
	if p.Index >= len(p.Args) {
		if p.firstOp != p.behindOp {
			p.Index = p.firstOp
		}
		return false
	}
	return isOption(p.Args[p.Index])
}

// gather swaps the operands skipped with the options that came after them.
func (p *Parser) gather() {
	if p.firstOp != p.behindOp && p.behindOp != p.Index {
		ops := append([]string(nil), p.Args[p.firstOp:p.behindOp]...)
		n := copy(p.Args[p.firstOp:], p.Args[p.behindOp:p.Index])
		copy(p.Args[p.firstOp+n:], ops)
		p.firstOp += n
		p.behindOp = p.Index
	} else if p.behindOp != p.Index {
		p.firstOp = p.Index
	}
}

func isOption(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

func (p *Parser) complain(format string, a ...any) {
	if !p.quiet {
		fmt.Fprintf(p.messages, "%s: "+format+"\n", append([]any{p.Args[0]}, a...)...)
	}
}

func (p *Parser) missing() int {
	if p.quiet {
		return Missing
	}
	return Unknown
}

func (p *Parser) nextShort() int {
	c := p.rest[0]
	p.rest = p.rest[1:]
	i := strings.IndexByte(p.short, c)
	if p.rest == "" {
		p.Index++
	}
	if i < 0 || c == ':' || c == ';' {
		p.complain("invalid option -- '%c'", c)
		return Unknown
	}
	if i+1 == len(p.short) || p.short[i+1] != ':' {
		return int(c)
	}
	switch {
	case p.rest != "":
		p.Value = p.rest
		p.Index++
	case p.Index == len(p.Args):
		p.complain("option requires an argument -- '%c'", c)
		return p.missing()
	default:
		p.Value = p.Args[p.Index]
		p.Index++
	}
	p.rest = ""
	return int(c)
}

func (p *Parser) nextLong(text string) int {
	name, value, hasValue := strings.Cut(text, "=")
	p.Index++
	o, candidates := p.find(name)
	switch {
	case o == nil && len(candidates) > 0:
		p.complain("option '--%s' is ambiguous; possibilities: %s", text, strings.Join(candidates, " "))
		return Unknown
	case o == nil:
		p.complain("unrecognized option '--%s'", name)
		return Unknown
	case hasValue && !o.Arg:
		p.complain("option '--%s' doesn't allow an argument", o.Name)
		return Unknown
	case hasValue:
		p.Value = value
	case o.Arg && p.Index == len(p.Args):
		p.complain("option '--%s' requires an argument", o.Name)
		return p.missing()
	case o.Arg:
		p.Value = p.Args[p.Index]
		p.Index++
	}
	return o.Val
}

// find finds a long option by its name or the beginning of it.
func (p *Parser) find(name string) (found *Long, candidates []string) {
	ambiguous := false
	for i := range p.long {
		o := &p.long[i]
		switch {
		case o.Name == name:
			return o, nil
		case !strings.HasPrefix(o.Name, name):
			continue
		case found != nil && (found.Arg != o.Arg || found.Val != o.Val):
			ambiguous = true
		case found == nil:
			found = o
		}
		candidates = append(candidates, "'--"+o.Name+"'")
	}
	if ambiguous {
		return nil, candidates
	}
	return found, nil
}
