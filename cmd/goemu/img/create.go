package img

import "goemu/internal/tool"

// Names of options that the tool itself looks at.
const (
	optSize     = "size"
	optBacking  = "backing_file"
	optBackFmt  = "backing_fmt"
	optPrealloc = "preallocation"
)

func (c *command) create(args []string) int {
	var format, base, baseFormat, list string
	format = "raw"
	var quiet, unsafe, hasBase, hasBaseFormat bool
	ops, status, ok := c.parse(args, objectOption, text('f', "", &format), flag('q', "", &quiet), flag('u', "", &unsafe), c.list(&list),
		option{'b', "", true, func(v string) bool { base, hasBase = v, true; return true }},
		option{'F', "", true, func(v string) bool { baseFormat, hasBaseFormat = v, true; return true }})
	if !ok {
		return status
	}
	filename := ""
	if len(ops) > 0 {
		filename = ops[0]
	}
	if list != "" && tool.HasHelp(list) {
		return c.optionHelp(filename, format)
	}
	if len(ops) == 0 {
		return c.Usage("Expecting image file name")
	}
	size := int64(tool.NoSize)
	if len(ops) > 1 {
		if size, ok = c.Size("image size", ops[1]); !ok {
			return 1
		}
	}
	if len(ops) > 2 {
		return c.Usage("Unexpected argument: %s", ops[2])
	}
	r := tool.NewImage{Filename: filename, Format: format, List: list, Size: size, NoBacking: unsafe}
	if !quiet {
		r.Tell = func(line string) {
			c.Printf("%s", line)
			c.Out.Flush()
		}
	}
	if hasBase {
		r.Base = &base
	}
	if hasBaseFormat {
		r.BaseFormat = &baseFormat
	}
	c.Graph.Lock()
	defer c.Graph.Unlock()
	if err := r.Create(c.Ctx, c.Graph); err != nil {
		c.Report(filename+": ", err)
		return 1
	}
	return 0
}
