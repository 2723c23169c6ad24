// Package tool is what the image tools (qemu-img, qemu-io, …) have in common: messages, options in QEMU's syntax, cache modes, opening
// images, progress.
package tool

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"goemu/block"
	"goemu/internal/userobj"

	"golang.org/x/sys/unix"
)

// outputBuffer is how much output is kept before it is written; scripts that mix both outputs rely on the C library's habit.
const outputBuffer = 4096

// Tool is one run of a tool.
type Tool struct {
	// Name is what the user called; it precedes messages.
	Name string
	// Command is how the user called it, with a path if he did so.
	Command string

	Ctx context.Context
	Out *bufio.Writer // to be flushed at the end
	Err io.Writer
	In  io.Reader

	Graph *block.Graph
	// Objects are those of --object.
	Objects *userobj.Set
}

// New makes a tool on the process's own channels. name is what the user called.
func New(name string, tables ...[]*block.Driver) *Tool {
	t := &Tool{Name: name, Command: name, Ctx: context.Background(), Err: os.Stderr, In: os.Stdin}
	t.Out = bufio.NewWriterSize(os.Stdout, outputBuffer)
	if isTerminal(os.Stdout) {
		t.Out = bufio.NewWriterSize(lineWriter{}, 1)
	}
	t.Graph = block.NewGraph(tables...)
	t.Graph.BeforeExit = func() { t.Out.Flush() }
	return t
}

// lineWriter writes at once.
type lineWriter struct{}

func (lineWriter) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// Printf writes to the output.
func (t *Tool) Printf(format string, a ...any) { fmt.Fprintf(t.Out, format, a...) }

// Errorf reports a mistake.
func (t *Tool) Errorf(format string, a ...any) {
	fmt.Fprintf(t.Err, t.Name+": "+format+"\n", a...)
}

// Warnf reports what is no mistake yet.
func (t *Tool) Warnf(format string, a ...any) { t.Errorf("warning: "+format, a...) }

// Report reports an error with its hint, behind a prefix.
func (t *Tool) Report(prefix string, err error) {
	t.Errorf("%s%s", prefix, Text(err))
	if h := block.HintOf(err); h != "" {
		fmt.Fprint(t.Err, strings.TrimSuffix(h+"\n", NoNewline+"\n"))
	}
	if who := block.WhoOf(err); who != "" && TellsMore(t.Name) {
		fmt.Fprintln(t.Err, who)
	}
}

// TellsMore reports whether a program that was called by this name says more in its messages than QEMU does: it does under its own name,
// and to people at a terminal. Scripts that call it by QEMU's names get QEMU's messages to the letter.
func TellsMore(name string) bool { return !strings.HasPrefix(name, "qemu-") || isTerminal(os.Stderr) }

// Text is an error's message; a bare errno has the C library's.
func Text(err error) string {
	if e, ok := err.(unix.Errno); ok {
		return block.Strerror(e)
	}
	return err.Error()
}

// Reason is the text of an error's errno alone.
func Reason(err error) string { return block.Strerror(block.Errno(err)) }

// Usage reports a mistake on the command line and returns the exit status.
func (t *Tool) Usage(format string, a ...any) int {
	t.Errorf(format, a...)
	fmt.Fprintf(t.Err, "Try '%s --help' for more information\n", t.Name)
	return 1
}

// Version is the version of QEMU that the tools are like.
const Version = "7.2.22"

// NoNewline at the end of a hint says that QEMU forgets the newline there.
const NoNewline = "\x00"
