// Package trace is the diagnostic log of -d and -D: named items that are switched on and off, and a cheap check for each. It knows
// nothing of what is logged.
package trace

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sirupsen/logrus"

	"goemu/internal/strerror"
)

// Item is a kind of log output, or a set of them.
type Item uint32

// The items.
const (
	OutAsm Item = 1 << iota
	InAsm
	Op
	OpOpt
	Int
	Exec
	CPU
	MMU
	GuestErrors
	Unimp
	Reset
	FPU
	NoChain
)

// Info describes an item.
type Info struct {
	Item       Item
	Name, Help string
}

// Items are the names and texts of -d help.
var Items = []Info{
	{OutAsm, "out_asm", "show generated host assembly code for each compiled TB"},
	{InAsm, "in_asm", "show target assembly code for each compiled TB"},
	{Op, "op", "show micro ops for each compiled TB"},
	{OpOpt, "op_opt", "show micro ops after optimization"},
	{Int, "int", "show interrupts/exceptions in short format"},
	{Exec, "exec", "show trace before each executed TB (lots of logs)"},
	{CPU, "cpu", "show CPU registers before entering a TB (lots of logs)"},
	{FPU, "fpu", "include FPU registers in the 'cpu' logging"},
	{MMU, "mmu", "log MMU-related activities"},
	{Reset, "cpu_reset", "show CPU state before CPU resets"},
	{Unimp, "unimp", "log unimplemented functionality"},
	{GuestErrors, "guest_errors", "log when the guest OS does something invalid (eg accessing a\nnon-existent register)"},
	{NoChain, "nochain", "do not chain compiled TBs so that \"exec\" and \"cpu\" show\ncomplete traces"},
}

var enabled atomic.Uint32

// logger carries the log. Its lines are QEMU's, without level and time.
var logger = &logrus.Logger{Out: os.Stderr, Formatter: plain{}, Hooks: make(logrus.LevelHooks), Level: logrus.TraceLevel}

// plain formats an entry as its message alone.
type plain struct{}

func (plain) Format(e *logrus.Entry) ([]byte, error) { return []byte(e.Message), nil }

// level is how grave the items of a set are: what a guest does wrong or lacks is a warning, all else is detail.
func level(i Item) logrus.Level {
	if i&(GuestErrors|Unimp) != 0 {
		return logrus.WarnLevel
	}
	return logrus.TraceLevel
}

// On tells whether any item of the set is switched on.
func On(i Item) bool { return Item(enabled.Load())&i != 0 }

// Set switches exactly the items of the set on.
func Set(i Item) { enabled.Store(uint32(i)) }

// SetOutput sends the log to w.
func SetOutput(w io.Writer) { logger.SetOutput(w) }

// file is what SetFile has opened.
var file struct {
	sync.Mutex
	f *os.File
}

// SetFile sends the log to a new file of that name, or to the standard error stream if the name is empty.
func SetFile(name string) error {
	file.Lock()
	defer file.Unlock()
	var f *os.File
	if name != "" {
		var err error
		if f, err = os.Create(name); err != nil {
			return fmt.Errorf("Error opening logfile %s: %s", name, strerror.Of(err))
		}
		SetOutput(f)
	} else {
		SetOutput(os.Stderr)
	}
	if file.f != nil {
		file.f.Close()
	}
	file.f = f
	return nil
}

// Parse reads a comma separated list of item names; "all" is every item. bad is the first unknown name.
func Parse(list string) (set Item, bad string) {
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			continue
		}
		found := false
		for _, i := range Items {
			if name == i.Name || name == "all" {
				set |= i.Item
				found = true
			}
		}
		if !found && bad == "" {
			bad = name
		}
	}
	return set, bad
}

// Printf writes to the log if any item of the set is on.
func Printf(i Item, format string, args ...any) {
	if On(i) {
		logger.Logf(level(i), format, args...)
	}
}
