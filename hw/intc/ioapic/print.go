package ioapic

import (
	"fmt"
	"io"
)

// deliveryNames are the words for delivery modes by their number.
var deliveryNames = [8]string{"fixed", "lowest", "SMI", "...", "NMI", "INIT", "...", "extINT"}

// Bits of a redirection entry.
const (
	showLogical   = 1 << 11
	showLow       = 1 << 13
	showRemoteIRR = 1 << 14
	showLevel     = 1 << 15
	showMasked    = 1 << 16
)

// firstEntry is the register where the redirection table begins.
const firstEntry = 0x10

func pick(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

// PrintCounts shows how often the inputs were raised, for people.
func (c *IOAPIC) PrintCounts(w io.Writer) { c.count.Print(w, Class.Name) }

// Print shows the state, for people.
func (c *IOAPIC) Print(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(w, "ioapic0: ver=0x%x id=0x%02x sel=0x%02x", c.props.Version, c.id, c.sel)
	if c.sel != 0 {
		fmt.Fprintf(w, " (redir[%d])", uint32(int32(c.sel)-firstEntry)>>1)
	}
	fmt.Fprintln(w)
	remote := uint32(0)
	for i, e := range c.table {
		dest := e >> 56
		if e&showLogical == 0 {
			dest &= 15
		}
		fmt.Fprintf(w, "  pin %-2d 0x%016x dest=%x vec=%-3d %s %-5s %-6s %-6s %s\n", i, e, dest, e&0xff, pick(e&showLow != 0, "active-lo", "active-hi"),
			pick(e&showLevel != 0, "level", "edge"), pick(e&showMasked != 0, "masked", ""), deliveryNames[e>>8&7], pick(e&showLogical != 0, "logical", "physical"))
		if e&showLevel != 0 && e&showRemoteIRR != 0 {
			remote |= 1 << i
		}
	}
	printPins(w, "  IRR", c.irr)
	printPins(w, "  Remote IRR", remote)
}

func printPins(w io.Writer, name string, pins uint32) {
	fmt.Fprintf(w, "%-10s ", name)
	if pins == 0 {
		fmt.Fprint(w, "(none)")
	}
	for i := range Pins {
		if pins>>i&1 != 0 {
			fmt.Fprintf(w, "%-2d ", i)
		}
	}
	fmt.Fprintln(w)
}
