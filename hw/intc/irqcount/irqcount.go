// Package irqcount counts the interrupts that come to a controller. It knows no controller.
package irqcount

import (
	"fmt"
	"io"
)

// Lines is how many inputs can be counted.
const Lines = 24

// Counts are how often each input went from low to high. Guarded by the machine lock.
type Counts struct {
	levels uint32
	raised [Lines]uint64
}

// Note records the level of an input.
func (c *Counts) Note(line int, level bool) {
	was := c.levels>>line&1 != 0
	if level == was {
		return
	}
	c.levels ^= 1 << line
	if level {
		c.raised[line]++
	}
}

// Print shows the inputs that were raised, for people; typ is the controller's type.
func (c *Counts) Print(w io.Writer, typ string) {
	fmt.Fprintf(w, "IRQ statistics for %s:\n", typ)
	for i, n := range c.raised {
		if n > 0 {
			fmt.Fprintf(w, "%2d: %d\n", i, n)
		}
	}
}
