package img

import (
	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"
)

// compareFailed is the status of a comparison that could not begin.
const compareFailed = 2

func (c *command) compare(args []string) int {
	var format1, format2 string
	cache := "writeback"
	var show, quiet, strict, share, imageOpts bool
	ops, status, ok := c.parse(args, objectOption, text('f', "", &format1), text('F', "", &format2), text('T', "", &cache), flag('p', "", &show),
		flag('q', "", &quiet), flag('s', "", &strict), flag('U', "force-share", &share), flag(0, "image-opts", &imageOpts))
	if !ok {
		return status
	}
	if len(ops) != 2 {
		return c.Usage("Expecting two image file names")
	}
	progress := c.NewProgress(show && !quiet, 2)
	defer progress.End()
	mode := block.Mode{ReadOnly: true}
	through, ok := tool.SetCache(&mode, cache)
	if !ok {
		c.Errorf("Invalid source cache option: %s", cache)
		return compareFailed
	}
	src := tool.Source{Name: ops[0], Format: format1, ImageOpts: imageOpts, ForceShare: share, Mode: mode, Writethrough: through}
	a := c.Open(src)
	if a == nil {
		return compareFailed
	}
	defer c.Close(a)
	src.Name, src.Format = ops[1], format2
	b := c.Open(src)
	if b == nil {
		return compareFailed
	}
	defer c.Close(b)
	cmp := img.Comparison{A: a, B: b, NameA: ops[0], NameB: ops[1], Strict: strict, Progress: progress.Add,
		Note: func(s string) { c.quietf(quiet, "%s\n", s) }}
	verdict, text := cmp.Run(c.Ctx)
	if verdict > img.Different {
		c.Errorf("%s", text)
	} else {
		c.quietf(quiet, "%s\n", text)
	}
	return int(verdict)
}
