package img

import (
	"math"

	"goemu/block"
	"goemu/block/img"
	"goemu/internal/tool"
)

// number is an option whose argument is a number from 0 to most.
func (c *command) number(letter byte, long, what string, most int64, to *int) option {
	return option{letter, long, true, func(v string) bool {
		n, err := tool.ParseLong(v)
		if err != nil || n < 0 || n > most {
			c.Errorf("Invalid %s specified", what)
			return false
		}
		*to = int(n)
		return true
	}}
}

// bytes is an option whose argument is a size of a buffer.
func (c *command) bytes(letter byte, what string, to *int) option {
	return option{letter, "", true, func(v string) bool {
		n, ok := c.SizeBetween(what, v, 0, math.MaxInt32)
		*to = int(n)
		return ok
	}}
}

func (c *command) bench(args []string) int {
	r := img.Bench{Count: 75000, Depth: 64, Size: 4096, Drain: true}
	var format string
	var quiet, imageOpts, share, native, noDrain, through bool
	var pattern int
	mode := block.Mode{ReadOnly: true}
	ops, status, ok := c.parse(args,
		c.number('c', "", "request count", math.MaxInt32, &r.Count), c.number('d', "", "queue depth", math.MaxInt32, &r.Depth),
		text('f', "", &format), flag('n', "", &native), c.size('o', "", "offset", &r.Offset), flag('q', "", &quiet),
		c.bytes('s', "buffer size", &r.Size), c.bytes('S', "step_size", &r.Step),
		option{'i', "", true, func(v string) bool {
			if !tool.SetAIO(&mode, v) {
				c.Errorf("Invalid aio option: %s", v)
				return false
			}
			return true
		}},
		option{'t', "", true, func(v string) (ok bool) {
			if through, ok = tool.SetCache(&mode, v); !ok {
				c.Errorf("Invalid cache mode")
			}
			return ok
		}},
		option{'w', "", false, func(string) bool { r.Write, mode.ReadOnly = true, false; return true }},
		flag('U', "force-share", &share), c.number(0, "pattern", "pattern byte", math.MaxUint8, &pattern),
		c.number(0, "flush-interval", "flush interval", math.MaxInt32, &r.FlushInterval), flag(0, "no-drain", &noDrain), flag(0, "image-opts", &imageOpts))
	if !ok {
		return status
	}
	if native {
		mode.AIO = "native"
	}
	if len(ops) != 1 {
		return c.Usage("Expecting one image file name")
	}
	switch {
	case !r.Write && r.FlushInterval != 0:
		c.Errorf("--flush-interval is only available in write tests")
		return 1
	case r.FlushInterval != 0 && r.FlushInterval < r.Depth:
		c.Errorf("Flush interval can't be smaller than depth")
		return 1
	}
	b := c.Open(tool.Source{Name: ops[0], Format: format, ImageOpts: imageOpts, ForceShare: share, Mode: mode, Writethrough: through})
	if b == nil {
		return 1
	}
	defer c.Close(b)
	if r.Step == 0 {
		r.Step = r.Size
	}
	r.Image, r.Pattern, r.Drain = b, byte(pattern), !noDrain
	kind := "read"
	if r.Write {
		kind = "write"
	}
	c.Printf("Sending %d %s requests, %d bytes each, %d in parallel (starting at offset %d, step size %d)\n", r.Count, kind, r.Size, r.Depth, r.Offset, r.Step)
	if r.FlushInterval != 0 {
		c.Printf("Sending flush every %d requests\n", r.FlushInterval)
	}
	took, err := r.Run(c.Ctx)
	if err != nil {
		c.Report("", err)
		return 1
	}
	c.Printf("Run completed in %3.3f seconds.\n", took.Seconds())
	return 0
}
