package img

import (
	"errors"
	"fmt"
	"time"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"
)

func (c *command) info(args []string) int {
	var format, output string
	var chain, imageOpts, share bool
	ops, status, ok := c.parse(args, objectOption, text('f', "format", &format), text(0, "output", &output),
		flag(0, "backing-chain", &chain), flag(0, "image-opts", &imageOpts), flag('U', "force-share", &share))
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	json, ok := c.jsonOutput(output)
	if !ok {
		return 1
	}
	infos := c.infoList(ops[0], format, imageOpts, chain, share)
	if infos == nil {
		return 1
	}
	switch {
	case json && chain:
		var list []any
		for _, i := range infos {
			list = append(list, infoMembers(i))
		}
		c.Printf("%s\n", tool.PrettyJSON(list))
	case json:
		c.Printf("%s\n", tool.PrettyJSON(infoMembers(infos[0])))
	default:
		for n, i := range infos {
			if n > 0 {
				c.Printf("\n")
			}
			c.HumanInfo(i)
		}
	}
	return 0
}

// infoList describes an image and perhaps its backing files; nil after a message.
func (c *command) infoList(name, format string, imageOpts, chain, share bool) (infos []*img.Info) {
	seen := map[string]bool{}
	for more := true; more; more = name != "" {
		if seen[name] {
			c.Errorf("Backing file '%s' creates an infinite loop.", name)
			return nil
		}
		seen[name] = true
		b := c.Open(tool.Source{Name: name, Format: format, ImageOpts: imageOpts, ForceShare: share,
			Mode: block.Mode{ReadOnly: true, NoBacking: true, NoIO: true}})
		if b == nil {
			return nil
		}
		c.Graph.Lock()
		i, err := img.QueryInfo(c.Ctx, b.Node())
		c.Graph.Unlock()
		c.Close(b)
		if err != nil {
			c.Report("", err)
			return nil
		}
		infos = append(infos, i)
		name, format, imageOpts = "", "", false
		if chain {
			if i.FullBacking == "" && i.Backing != "" {
				c.Errorf("Could not determine absolute backing filename, but backing filename '%s' present", i.Backing)
				return nil
			}
			name, format = i.FullBacking, i.BackingFormat
		}
	}
	return infos
}

// infoMembers are the members of QEMU's ImageInfo, in its order.
func infoMembers(i *img.Info) []block.Member {
	m := []block.Member{{Name: "filename", Value: i.Filename}, {Name: "format", Value: i.Format}}
	add := func(cond bool, name string, v any) {
		if cond {
			m = append(m, block.Member{Name: name, Value: v})
		}
	}
	add(i.HasDirty, "dirty-flag", i.Dirty)
	add(i.ActualSize >= 0, "actual-size", i.ActualSize)
	add(true, "virtual-size", i.VirtualSize)
	add(i.ClusterSize != 0, "cluster-size", i.ClusterSize)
	add(i.Encrypted, "encrypted", true)
	add(i.Backing != "", "backing-filename", i.Backing)
	add(i.FullBacking != "", "full-backing-filename", i.FullBacking)
	add(i.Backing != "" && i.BackingFormat != "", "backing-filename-format", i.BackingFormat)
	if len(i.Snapshots) > 0 {
		var list []any
		for _, s := range i.Snapshots {
			list = append(list, snapshotMembers(s))
		}
		add(true, "snapshots", list)
	}
	add(i.Specific != nil, "format-specific", i.Specific)
	return m
}

func snapshotMembers(s block.Snapshot) []block.Member {
	const second = uint64(time.Second)
	m := []block.Member{{Name: "id", Value: s.ID}, {Name: "name", Value: s.Name}, {Name: "vm-state-size", Value: s.VMStateSize},
		{Name: "date-sec", Value: s.Date.Unix()}, {Name: "date-nsec", Value: s.Date.Nanosecond()},
		{Name: "vm-clock-sec", Value: s.VMClock / second}, {Name: "vm-clock-nsec", Value: s.VMClock % second}}
	if s.ICount >= 0 {
		m = append(m, block.Member{Name: "icount", Value: s.ICount})
	}
	return m
}

func (c *command) mapImage(args []string) int {
	var format, output string
	var imageOpts, share bool
	var start int64
	length := int64(-1)
	ops, status, ok := c.parse(args, objectOption, text('f', "format", &format), text(0, "output", &output), flag(0, "image-opts", &imageOpts),
		flag('U', "force-share", &share), c.size('s', "start-offset", "start offset", &start), c.size('l', "max-length", "max length", &length))
	if !ok {
		return status
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	json, ok := c.jsonOutput(output)
	if !ok {
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, ForceShare: share, Mode: block.Mode{ReadOnly: true}})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	if json {
		c.Printf("[")
	} else {
		c.Printf("%-16s%-16s%-16s%s\n", "Offset", "Length", "Mapped to", "File")
	}
	end, err := b.Length(c.Ctx)
	if err != nil {
		c.Errorf("Failed to get size for '%s'", ops[0])
		return 1
	}
	if length != -1 {
		end = min(start+length, end)
	}
	print := c.extentHuman
	if json {
		print = c.extentJSON
	}
	if err := img.Map(c.Ctx, b.Node(), start, end, print); err != nil {
		if json && errors.Is(err, errNotMapped) {
			c.Printf("]\n")
		}
		c.Report("", err)
		return 1
	}
	if json {
		c.Printf("]\n")
	}
	return 0
}

var errNotMapped = errors.New("File contains external, encrypted or compressed clusters.")

// extentHuman writes an extent for people, who see data only.
func (c *command) extentHuman(e, next *img.Extent) error {
	if e.Data && !e.HasOffset {
		return errNotMapped
	}
	if e.Data && !e.Zero {
		c.Printf("%-16s%-16s%-16s%s\n", hex(e.Start), hex(e.Length), hex(e.Offset), e.Filename)
	}
	if next != nil && (!next.Data || next.Zero) {
		next.Data, next.Zero = false, true
	}
	return nil
}

// hex writes a number as C's "%#x" does.
func hex(n int64) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

// extentJSON writes an extent as an object in a line.
func (c *command) extentJSON(e, next *img.Extent) error {
	c.Printf("{ \"start\": %d, \"length\": %d, \"depth\": %d, \"present\": %t, \"zero\": %t, \"data\": %t", e.Start, e.Length, e.Depth, e.Present, e.Zero, e.Data)
	if e.HasOffset {
		c.Printf(", \"offset\": %d", e.Offset)
	}
	c.Printf("}")
	if next != nil {
		c.Printf(",\n")
	}
	return nil
}
