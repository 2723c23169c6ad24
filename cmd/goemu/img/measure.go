package img

import (
	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

func (c *command) measure(args []string) int {
	var format, output, list string
	outFormat := "raw"
	size := int64(tool.NoSize)
	var imageOpts, share bool
	var snap snapshotParam
	ops, status, ok := c.parse(args, objectOption, text('f', "", &format), text('O', "", &outFormat), c.list(&list), c.snapshotOption(&snap),
		flag('U', "force-share", &share), flag(0, "image-opts", &imageOpts), text(0, "output", &output), c.size(0, "size", "image size", &size))
	if !ok {
		return status
	}
	json, ok := c.jsonOutput(output)
	if !ok {
		return 1
	}
	switch {
	case len(ops) > 1:
		c.Errorf("At most one filename argument is allowed.")
		return 1
	case len(ops) == 0 && (imageOpts || format != "" || snap.set):
		c.Errorf("--image-opts, -f, and -l require a filename argument.")
		return 1
	case len(ops) == 1 && size != tool.NoSize:
		c.Errorf("--size N cannot be used together with a filename.")
		return 1
	case len(ops) == 0 && size == tool.NoSize:
		c.Errorf("Either --size N or one filename must be specified.")
		return 1
	}
	var src *block.Node
	if len(ops) == 1 {
		b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, ForceShare: share, Mode: block.Mode{ReadOnly: true}})
		if b == nil {
			return 1
		}
		defer c.Close(b)
		if snap.set && !c.loadSnapshot(b, snap) {
			return 1
		}
		src = b.Node()
	}
	return c.runMeasure(src, outFormat, list, size, json)
}

func (c *command) runMeasure(src *block.Node, format, list string, size int64, json bool) int {
	d := c.format(format)
	if d == nil {
		return 1
	}
	if d.Create == nil {
		c.Errorf("Format driver '%s' does not support image creation", d.Name)
		return 1
	}
	tables := [][]block.Option{d.CreateOptions}
	if file := c.Graph.FindDriver("file"); file != nil {
		tables = append(tables, file.CreateOptions)
	}
	o := tool.NewCreateOptions(tables...)
	if err := o.Parse(list); err != nil {
		c.Report("", err)
		c.Errorf("Invalid options for file format '%s'", format)
		return 1
	}
	if size != tool.NoSize {
		o.SetNumber(optSize, size)
	}
	values := o.Options()
	if o.Has(optSize) {
		values.Set(optSize, uint64(o.Size(optSize, 0)))
	}
	var m block.MeasureInfo
	err := block.Errorf(unix.ENOTSUP, "Block driver '%s' does not support size measurement", d.Name)
	if d.Measure != nil {
		m, err = d.Measure(c.Ctx, c.Graph, values, src)
	}
	if err != nil {
		c.Report("", err)
		return 1
	}
	if json {
		members := []block.Member{{Name: "required", Value: m.Required}, {Name: "fully-allocated", Value: m.FullyAllocated}}
		if m.HasBitmaps {
			members = append(members, block.Member{Name: "bitmaps", Value: m.Bitmaps})
		}
		c.Printf("%s\n", tool.PrettyJSON(members))
		return 0
	}
	c.Printf("required size: %d\nfully allocated size: %d\n", m.Required, m.FullyAllocated)
	if m.HasBitmaps {
		c.Printf("bitmaps size: %d\n", m.Bitmaps)
	}
	return 0
}
