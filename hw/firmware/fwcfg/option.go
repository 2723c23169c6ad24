package fwcfg

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"goemu/internal/strerror"
)

// Item is a parsed -fw_cfg option.
type Item struct {
	Name string
	Data []byte
	// Warning is a line for the user, empty if there is nothing to say.
	Warning string
}

var errOption = errors.New("name, plus exactly one of file, string and gen_id, are needed")

// Load reads the item that a -fw_cfg option's members describe.
func Load(name, file, text string) (Item, error) {
	it := Item{Name: name, Data: []byte(text)}
	if name == "" || (file == "") == (text == "") {
		return it, errOption
	}
	if len(name) >= nameSize {
		return it, fmt.Errorf("name too long (max. %d char)", nameSize-1)
	}
	if !strings.HasPrefix(name, "opt/") {
		it.Warning = "warning: externally provided fw_cfg item names should be prefixed with \"opt/\""
	}
	if file == "" {
		return it, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return it, fmt.Errorf("can't load %s: Failed to open file “%s”: %s", file, file, strerror.Of(err))
	}
	it.Data = data
	return it, nil
}
