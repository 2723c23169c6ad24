package strerror

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

func TestOf(t *testing.T) {
	_, err := os.Open("/nosuch/file")
	for want, err := range map[string]error{"No such file or directory": fmt.Errorf("open: %w", err), "something else": errors.New("something else")} {
		if got := Of(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
