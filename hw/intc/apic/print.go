package apic

import (
	"fmt"
	"io"
)

// Words for fields of registers, by their value.
var (
	deliveryNames  = [8]string{"Fixed", "...", "SMI", "...", "NMI", "INIT", "...", "ExtINT"}
	shorthandNames = [4]string{"no-shorthand", "self", "all-self", "all"}
)

// deliveryNMI is the delivery mode that has no vector.
const deliveryNMI = 4

// Bits that only people are shown.
const (
	lvtLow   = 1 << 13
	svrFocus = 1 << 9
)

// pick is one of two words.
func pick(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

// Print shows the state of the APIC of a CPU, for people.
func (a *APIC) Print(w io.Writer, cpu int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(w, "dumping local APIC state for CPU %-2d\n\n", cpu)
	for _, row := range []struct {
		name string
		n    int
	}{{"LVT0", lvtLINT0}, {"LVT1", lvtLINT1}, {"LVTPC", lvtPerformance}, {"LVTERR", lvtError}, {"LVTTHMR", lvtThermal}, {"LVTT", lvtTimer}} {
		a.printLVT(w, row.name, a.lvt[row.n], row.n == lvtTimer)
	}
	fmt.Fprintf(w, "Timer\t DCR=0x%x (divide by %d) initial_count = %d current_count = %d\n", a.divide&0xb, 1<<((a.divide&3|a.divide>>1&4)+1&7), a.initialCount, a.currentCount())
	fmt.Fprintf(w, "SPIV\t 0x%08x APIC %s, focus=%s, spurious vec %d\n", a.svr, pick(a.svr&svrEnable != 0, "enabled", "disabled"), pick(a.svr&svrFocus != 0, "on", "off"), a.svr&0xff)
	a.printICR(w)
	fmt.Fprintf(w, "ESR\t 0x%08x\n", a.esr)
	a.printVectors(w, "ISR", &a.isr)
	a.printVectors(w, "IRR", &a.irr)
	fmt.Fprintf(w, "\nAPR 0x%02x TPR 0x%02x DFR 0x%02x LDR 0x%02x", a.arbID, a.tpr, a.destMode, a.logicalDest)
	if a.destMode == 0 {
		fmt.Fprintf(w, "(cluster %d: id %d)", a.logicalDest>>4, a.logicalDest&15)
	}
	fmt.Fprintf(w, " PPR 0x%02x\n", a.ppr())
}

func (a *APIC) printLVT(w io.Writer, name string, v uint32, timer bool) {
	mode := ""
	if timer {
		mode = pick(v&lvtPeriodic != 0, "periodic", pick(v&lvtDeadline != 0, "tsc-deadline", "one-shot"))
	}
	delivery := v >> 8 & 7
	fmt.Fprintf(w, "%s\t 0x%08x %s %-5s %-6s %-7s %-12s %-6s", name, v, pick(v&lvtLow != 0, "active-lo", "active-hi"), pick(v&lvtLevel != 0, "level", "edge"),
		pick(v&lvtMasked != 0, "masked", ""), pick(v&lvtPending != 0, "pending", ""), mode, deliveryNames[delivery])
	if delivery != deliveryNMI {
		fmt.Fprintf(w, " (vec %d)", v&lvtVector)
	}
	fmt.Fprintln(w)
}

func (a *APIC) printICR(w io.Writer) {
	low, high := a.icr[0], a.icr[1]
	shorthand, logical := low>>18&3, low&icrLogical != 0
	fmt.Fprintf(w, "ICR\t 0x%08x %s %s %s %s\nICR2\t 0x%08x", low, pick(logical, "logical", "physical"), pick(low&(1<<15) != 0, "level", "edge"),
		pick(low&(1<<14) != 0, "assert", "de-assert"), shorthandNames[shorthand], high)
	dest := high >> 24
	if a.x2APIC {
		dest = high
	}
	switch {
	case shorthand != 0:
		fmt.Fprintln(w)
	case !logical && a.x2APIC:
		fmt.Fprintf(w, " cpu %d (X2APIC ID)\n", dest)
	case !logical:
		fmt.Fprintf(w, " cpu %d (APIC ID)\n", dest&15)
	case a.destMode == 15: // flat
		fmt.Fprintf(w, " mask %08b (APIC ID)\n", high>>24)
	case a.destMode == 0 && a.x2APIC:
		fmt.Fprintf(w, " cluster %d mask %016b (X2APIC ID)\n", dest>>16, dest&0xffff)
	case a.destMode == 0:
		fmt.Fprintf(w, " cluster %d mask %04b (APIC ID)\n", dest>>4, dest&15)
	}
}

// printVectors lists the vectors of a register; those of level-triggered interrupts say so.
func (a *APIC) printVectors(w io.Writer, name string, b *bitmap) {
	fmt.Fprintf(w, "%s\t ", name)
	none := "(none)"
	for n := range 256 {
		if b[n>>5]>>(n&31)&1 != 0 {
			fmt.Fprintf(w, "%d%s ", n, pick(a.tmr[n>>5]>>(n&31)&1 != 0, "(level)", ""))
			none = ""
		}
	}
	fmt.Fprintln(w, none)
}
