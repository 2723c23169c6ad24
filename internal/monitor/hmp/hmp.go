// Package hmp is the monitor for people: command lines with typed arguments, help, completion and line editing. The commands are tables
// of the services that carry them out; this package has only help, info and print.
package hmp

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"goemu/internal/trace"
	"goemu/qapi"
)

// Command is one row of a table of commands.
type Command struct {
	// Name may be several names, as "cont|c".
	Name string
	// Args are the names and types of the arguments, as "device:B,size:o"; see Args for the types.
	Args string
	// Params and Help are what help shows.
	Params, Help string
	// Preconfig tells that the command may run before the machine is made.
	Preconfig bool
	// Run carries the command out: it prints to the monitor. An error is printed after "Error: ".
	Run func(m *Monitor, a *Args) error
	// Sub are the commands below this one, as those of info.
	Sub []*Command
	// Complete lists what the last of the words on the line may become; nil completes by the types of the arguments.
	Complete func(m *Monitor, words []string) []string
}

// is tells whether name is one of the command's names.
func (c *Command) is(name string) bool { return slices.Contains(strings.Split(c.Name, "|"), name) }

// Shell is what all monitors share.
type Shell struct {
	commands []*Command
	// Version is the version that the greeting names.
	Version string
	// Ready tells whether the machine has been made; nil means always.
	Ready func() bool
	// Exclusive runs a command so that no other runs meanwhile; nil just runs it.
	Exclusive func(func())
	// Register reads a register of a CPU for expressions; nil knows none.
	Register func(cpu int, name string) (uint64, bool)
	// BlockDevices lists the names for arguments of type B.
	BlockDevices func() []string
	// LogItems is what "help log" prints.
	LogItems string
	// HasCPU tells whether there is a CPU of a number; nil: there is any.
	HasCPU  func(index int64) bool
	Context context.Context

	mu        sync.Mutex
	terminals []*terminal
	begun     bool
}

// NewShell makes a shell of the commands, and of those of info.
func NewShell(commands, info []*Command) *Shell {
	s := &Shell{}
	builtin := []*Command{
		{Name: "help|?", Args: "name:S?", Params: "[cmd]", Help: "show the help", Preconfig: true, Run: s.help},
		{Name: "info", Args: "item:s?", Params: "[subcommand]", Help: "show various information about the system state", Preconfig: true,
			Run: s.infoHelp, Sub: sorted(append(info, &Command{Name: "history", Help: "show the command line history", Preconfig: true, Run: history}))},
		{Name: "print|p", Args: "fmt:/,val:l", Params: "/fmt expr", Help: "print expression value (use $reg for CPU register access)", Run: printValue},
	}
	s.commands = sorted(append(commands, builtin...))
	return s
}

func sorted(list []*Command) []*Command {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (s *Shell) available(c *Command) bool { return s.Ready == nil || s.Ready() || c.Preconfig }

// Monitor is one user of the shell. What commands print goes to it.
type Monitor struct {
	*Shell
	// CPU is the number of the CPU that commands are about.
	CPU int
	out io.Writer
	ed  *editor // nil for a single command
	ctx context.Context

	format, size int // defaults for /fmt
	ended        bool
	wait         func()
}

// Wait makes the user wait for f after the command, while others' commands run. It tells whether that is possible: a single command from
// elsewhere waits for nothing.
func (m *Monitor) Wait(f func()) bool {
	if m.ed != nil {
		m.wait = f
	}
	return m.ed != nil
}

// End says that the program ends, so no prompt follows the command.
func (m *Monitor) End() { m.ended = true }

func (s *Shell) newMonitor(out io.Writer) *Monitor {
	return &Monitor{Shell: s, out: out, ctx: s.Context, format: 'x', size: 4}
}

// Write prints as it is.
func (m *Monitor) Write(p []byte) (int, error) { return m.out.Write(p) }

// Printf prints.
func (m *Monitor) Printf(format string, a ...any) { fmt.Fprintf(m.out, format, a...) }

// Context ends when the emulator does.
func (m *Monitor) Context() context.Context { return m.ctx }

// Execute runs one line for a CPU and returns what it printed, with the ends of lines that a terminal needs.
func (s *Shell) Execute(ctx context.Context, line string, cpu int) string {
	var b strings.Builder
	m := s.newMonitor(&b)
	m.CPU, m.ctx = cpu, ctx
	m.execute(line)
	return strings.ReplaceAll(b.String(), "\n", "\r\n")
}

// HumanMonitorCommand implements that command of qapi.MiscCommands.
func (s *Shell) HumanMonitorCommand(ctx context.Context, arg *qapi.HumanMonitorCommandArg) (string, error) {
	cpu := int64(0)
	if arg.CpuIndex != nil {
		if cpu = *arg.CpuIndex; s.HasCPU != nil && !s.HasCPU(cpu) {
			return "", qapi.Errorf("Parameter 'cpu-index' expects a CPU number")
		}
	}
	return s.Execute(ctx, arg.CommandLine, int(cpu)), nil
}

// execute runs one line.
func (m *Monitor) execute(line string) {
	trace.HandleHMPCommand.Log("mon %p cmdline: %s", m, line)
	c, rest, ok := m.find(m.commands, line, line)
	if !ok {
		return
	}
	name := line[:len(line)-len(rest)]
	a, ok := m.parse(c, &rest)
	if !ok {
		m.Printf("Try \"help %s\" for more information\n", strings.TrimRight(name, " \t"))
		return
	}
	if err := c.Run(m, a); err != nil {
		m.Printf("Error: %v\n", err)
	}
}

// find looks up the command that text begins with, and the command below it; line is the whole line.
func (m *Monitor) find(table []*Command, line, text string) (c *Command, rest string, ok bool) {
	text = strings.TrimLeft(text, blanks)
	n := strings.IndexAny(text, blanks+"/")
	if n < 0 {
		n = len(text)
	}
	if n == 0 && text == "" {
		return nil, "", false
	}
	shown := line[:len(line)-len(text)+n]
	i := slices.IndexFunc(table, func(c *Command) bool { return c.is(text[:n]) })
	if i < 0 {
		m.Printf("unknown command: '%s'\n", shown)
		return nil, "", false
	}
	if c = table[i]; !m.available(c) {
		m.Printf("Command '%s' not available until machine initialization has completed.\n", shown)
		return nil, "", false
	}
	rest = strings.TrimLeft(text[n:], blanks)
	if c.Sub != nil && rest != "" {
		return m.find(c.Sub, line, rest)
	}
	return c, rest, true
}

const blanks = " \t\n\v\f\r"

func (s *Shell) help(m *Monitor, a *Args) error {
	name, _ := a.String("name")
	if name == "log" {
		m.Printf("%s", s.LogItems)
		return nil
	}
	words, ok := splitWords(name)
	if !ok {
		return nil
	}
	m.helpOn(s.commands, words, 0)
	return nil
}

func (s *Shell) infoHelp(m *Monitor, _ *Args) error {
	m.helpOn(s.commands, []string{"info"}, 0)
	return nil
}

// helpOn prints the help on words[n:] of a table, or on all of it.
func (m *Monitor) helpOn(table []*Command, words []string, n int) {
	if n >= len(words) {
		for _, c := range table {
			m.helpLine(c, words)
		}
		return
	}
	for _, c := range table {
		if !c.is(words[n]) || !m.available(c) {
			continue
		}
		if c.Sub != nil {
			m.helpOn(c.Sub, words, n+1)
		} else {
			m.helpLine(c, words[:n])
		}
		return
	}
	m.Printf("unknown command: '%s'\n", strings.Join(words[:n+1], " "))
}

func (m *Monitor) helpLine(c *Command, prefix []string) {
	if m.available(c) {
		m.Printf("%s\n", strings.Join(append(slices.Clone(prefix), fmt.Sprintf("%s %s -- %s", c.Name, c.Params, c.Help)), " "))
	}
}

func history(m *Monitor, _ *Args) error {
	if m.ed != nil {
		for i, line := range m.ed.history {
			m.Printf("%d: '%s'\n", i, line)
		}
	}
	return nil
}

// printValue is the command print.
func printValue(m *Monitor, a *Args) error {
	v := a.Int("val")
	switch _, format, _ := a.Format(); format {
	case 'o':
		m.Printf("%#o", uint64(v))
	case 'x':
		m.Printf("%s", Hex(uint64(v)))
	case 'u':
		m.Printf("%d", uint64(v))
	case 'c':
		m.Printf("%s", CharText(byte(v)))
	default:
		m.Printf("%d", v)
	}
	m.Printf("\n")
	return nil
}

// CharText is a byte as a character constant.
func CharText(c byte) string {
	switch {
	case c == '\'' || c == '\\':
		return `'\` + string(rune(c)) + `'`
	case c == '\n':
		return `'\n'`
	case c == '\r':
		return `'\r'`
	case c >= 32 && c <= 126:
		return "'" + string(rune(c)) + "'"
	}
	return fmt.Sprintf(`'\x%02x'`, c)
}

// Hex writes a number as C's "%#x" does: zero has no prefix.
func Hex(v uint64) string {
	if v == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", v)
}
