package memory

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
)

// every is all address spaces there are, in the order in which they were made.
var every struct {
	sync.Mutex
	list []*AddressSpace
}

func (as *AddressSpace) register() {
	every.Lock()
	defer every.Unlock()
	every.list = append(every.list, as)
}

func (as *AddressSpace) forget() {
	every.Lock()
	defer every.Unlock()
	every.list = slices.DeleteFunc(every.list, func(x *AddressSpace) bool { return x == as })
}

// byRoot returns all address spaces, those together that show the same tree, by name.
func byRoot() (groups [][]*AddressSpace) {
	every.Lock()
	defer every.Unlock()
	at := map[*Region]int{}
	for _, as := range every.list {
		i, ok := at[as.root]
		if !ok {
			i = len(groups)
			at[as.root] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], as)
	}
	for _, g := range groups {
		slices.SortStableFunc(g, func(a, b *AddressSpace) int { return cmp.Compare(a.name, b.name) })
	}
	return groups
}

// typeText is what a region is, in QEMU's words.
func (r *Region) typeText() string {
	switch {
	case r.kind == kindAlias:
		return r.target.typeText()
	case r.ops != nil && r.ram != nil && r.covered, r.ram == nil:
		return "i/o"
	case r.ops != nil:
		return "romd"
	case r.readOnly:
		return "rom"
	}
	return "ram"
}

// last is the last address of a region that begins at base.
func (r *Region) last(base uint64) uint64 {
	switch uint64(r.size) {
	case 0:
		return base
	case Whole:
		return math.MaxUint64
	}
	return base + uint64(r.size) - 1
}

// treePrinter prints trees, and remembers what aliases show.
type treePrinter struct {
	w        io.Writer
	disabled bool // hidden regions, too
	targets  []*Region
}

// PrintTrees shows the region trees of all address spaces and what they have aliases of, hidden regions only on request. Preconditions: the
// machine lock is held.
func PrintTrees(w io.Writer, disabled bool) {
	p := &treePrinter{w: w, disabled: disabled}
	for _, g := range byRoot() {
		for _, as := range g {
			fmt.Fprintf(w, "address-space: %s\n", as.name)
		}
		p.print(g[0].root, 1, 0)
		fmt.Fprintln(w)
	}
	for i := 0; i < len(p.targets); i++ { // grows while it is printed
		fmt.Fprintf(w, "memory-region: %s\n", p.targets[i].name)
		p.print(p.targets[i], 1, 0)
		fmt.Fprintln(w)
	}
}

// print shows a region whose container begins at base.
func (p *treePrinter) print(r *Region, level int, base uint64) {
	base += uint64(r.at)
	if r.kind == kindAlias && !slices.Contains(p.targets, r.target) {
		p.targets = append(p.targets, r.target)
	}
	if !r.disabled || p.disabled {
		fmt.Fprintf(p.w, "%s%016x-%016x (prio %d, %s): ", strings.Repeat("  ", level), base, r.last(base), r.priority, r.typeText())
		if r.kind == kindAlias {
			from := uint64(r.targetAt)
			fmt.Fprintf(p.w, "alias %s @%s %016x-%016x", r.name, r.target.name, from, r.last(from))
		} else {
			fmt.Fprint(p.w, r.name)
		}
		if r.disabled {
			fmt.Fprint(p.w, " [disabled]")
		}
		fmt.Fprintln(p.w)
	}
	subs := slices.Clone(r.subs)
	slices.SortStableFunc(subs, func(a, b *Region) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(b.priority, a.priority))
	})
	for _, s := range subs {
		p.print(s, level+1, base)
	}
}

// PrintViews shows what the address spaces look like to those who use them. Those that show nothing are one. Preconditions: the machine lock
// is held.
func PrintViews(w io.Writer) {
	var empty []*AddressSpace
	groups := byRoot()
	for _, g := range groups {
		if len(g[0].View().Ranges) == 0 {
			empty = append(empty, g...)
		}
	}
	n := 0
	show := func(g []*AddressSpace, root string) {
		fmt.Fprintf(w, "FlatView #%d\n", n)
		n++
		for _, as := range g {
			fmt.Fprintf(w, " AS \"%s\", root: %s", as.name, as.root.name)
			if as.root.kind == kindAlias {
				fmt.Fprintf(w, ", alias %s", as.root.target.name)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, " Root memory region: %s\n", root)
	}
	if len(empty) > 0 {
		show(empty, "(none)")
		fmt.Fprint(w, "  No rendered FlatView\n\n")
	}
	for _, g := range groups {
		view := g[0].View()
		if len(view.Ranges) == 0 {
			continue
		}
		show(g, g[0].root.name)
		for _, r := range view.Ranges {
			kind := r.Region.typeText()
			if r.ReadOnly && kind == "ram" {
				kind = "rom"
			}
			fmt.Fprintf(w, "  %016x-%016x (prio %d, %s): %s", r.Start, r.Last, r.Region.priority, kind, r.Region.name)
			if r.Offset != 0 {
				fmt.Fprintf(w, " @%016x", r.Offset)
			}
			fmt.Fprintln(w)
		}
		fmt.Fprintln(w)
	}
}

// blockAlign is what the offsets of RAM blocks are multiples of: 64 pages.
const blockAlign = 64 * PageSize

// Print shows the blocks, the largest first, with their places in the space of all RAM.
func (l *BlockList) Print(w io.Writer) {
	blocks.Lock()
	at, offset := map[*RAMBlock]uint64{}, uint64(0)
	for _, b := range l.list {
		at[b] = offset
		offset += (b.Size() + blockAlign - 1) &^ (blockAlign - 1)
	}
	blocks.Unlock()
	fmt.Fprintf(w, "%24s %8s  %18s %18s %18s\n", "Block Name", "PSize", "Offset", "Used", "Total")
	for _, b := range l.All() {
		fmt.Fprintf(w, "%24s %8s  0x%016x 0x%016x 0x%016x\n", b.Name(), pageSizeText(b.HostPageSize()), at[b], b.Size(), b.Size())
	}
}

// pageSizeText writes a power of two with its unit.
func pageSizeText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d %s", n, units[i])
}
