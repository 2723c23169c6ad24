package qio

import (
	"fmt"
	"slices"
	"strings"

	"goemu/block"
	"goemu/internal/getopt"

	"golang.org/x/sys/unix"
)

// cmd is a command.
type cmd struct {
	name, alt string
	args      string
	oneline   string
	help      string
	least     int // arguments
	most      int // -1: any number
	perm      block.Perm
	noImage   bool // works without an image
	run       func(s *session, args []string) error
}

// any stands for any number of arguments.
const any = -1

// commands lists all of them, sorted by name.
func commands() []cmd {
	list := slices.Concat(ioCommands(), aioCommands(), imageCommands(), controlCommands(), []cmd{helpCommand})
	slices.SortFunc(list, func(a, b cmd) int { return strings.Compare(a.name, b.name) })
	return list
}

func find(name string) *cmd {
	for _, c := range commands() {
		if c.name == name || c.alt != "" && c.alt == name {
			return &c
		}
	}
	return nil
}

// permError is the error of a command that did not get its permissions.
type permError struct{ error }

// run runs a line.
func (s *session) run(line string) error {
	args := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' })
	if len(args) == 0 {
		return nil
	}
	c := find(args[0])
	if c == nil {
		fmt.Fprintf(s.Err, "command \"%s\" not found\n", args[0])
		return errCommand
	}
	if s.image == nil && !c.noImage {
		fmt.Fprintf(s.Err, "no file open, try 'help open'\n")
		return errCommand
	}
	if n := len(args) - 1; n < c.least || c.most != any && n > c.most {
		s.badCount(c, args[0], n)
		return errCommand
	}
	if c.perm != 0 && s.image != nil && s.image.Node() != nil {
		if err := s.addPerm(c.perm); err != nil {
			if !s.live {
				s.Report("", err)
			}
			return permError{err}
		}
	}
	if c.name == helpCommand.name {
		return s.help(args)
	}
	s.output.Lock()
	defer s.output.Unlock()
	return c.run(s, args)
}

func (s *session) badCount(c *cmd, name string, n int) {
	fmt.Fprintf(s.Err, "bad argument count %d to %s, expected ", n, name)
	switch {
	case c.most == any:
		fmt.Fprintf(s.Err, "at least %d arguments\n", c.least)
	case c.least == c.most:
		fmt.Fprintf(s.Err, "%d arguments\n", c.least)
	default:
		fmt.Fprintf(s.Err, "between %d and %d arguments\n", c.least, c.most)
	}
}

// addPerm asks for the permissions that a command needs.
func (s *session) addPerm(perm block.Perm) error {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	have, shared := s.image.Perm()
	if perm&^have == 0 {
		return nil
	}
	return s.image.SetPerm(have|perm, shared)
}

// relax lets the aio_ commands print while f waits.
func (s *session) relax(f func()) {
	s.output.Unlock()
	defer s.output.Lock()
	f()
}

// usageOf prints a command's line.
func (s *session) usageOf(name string) error {
	c := find(name)
	args := c.args
	if args == "" && c.name != "map" {
		args = "(null)"
	}
	s.Printf("%s %s -- %s\n", c.name, args, c.oneline)
	return errCommand
}

// flags reads a command's options: f is called for each. false means that something is wrong; f's error ends the command.
func (s *session) flags(args []string, short string, f func(letter int, value string) error) (operands []string, err error) {
	p := getopt.New(args, short, nil, s.Err)
	for v := p.Next(); v != getopt.End; v = p.Next() {
		if v == getopt.Unknown {
			return nil, s.usageOf(find(args[0]).name)
		}
		if err := f(v, p.Value); err != nil {
			return nil, err
		}
	}
	return p.Operands(), nil
}

// number reads a size of a command.
func (s *session) number(text string) (int64, error) {
	n, err := parseNumber(text)
	switch err {
	case nil:
		return n, nil
	case unix.ERANGE:
		s.Printf("Parsing error: argument too large -- %s\n", text)
	default:
		s.Printf("Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- %s\n", text)
	}
	return 0, err
}
