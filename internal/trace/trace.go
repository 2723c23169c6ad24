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

var (
	enabled atomic.Uint32
	mu      sync.Mutex
	out     io.Writer = os.Stderr
)

// On tells whether any item of the set is switched on.
func On(i Item) bool { return Item(enabled.Load())&i != 0 }

// Set switches exactly the items of the set on.
func Set(i Item) { enabled.Store(uint32(i)) }

// SetOutput sends the log to w.
func SetOutput(w io.Writer) {
	mu.Lock()
	defer mu.Unlock()
	out = w
}

// Parse reads a comma separated list of item names; "all" is every item. bad is the first unknown name.
func Parse(list string) (set Item, bad string) {
	for _, name := range strings.Split(list, ",") {
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
	if !On(i) {
		return
	}
	mu.Lock()
	defer mu.Unlock()
	fmt.Fprintf(out, format, args...)
}
