package netdev

import (
	"fmt"
	"strconv"

	"goemu/internal/fdset"
)

// TakeFD finds the descriptor that text names: a number, or a name under which a client has handed one over.
func TakeFD(text string) (int, error) {
	if text == "" || text[0] < '0' || text[0] > '9' {
		fd, ok := fdset.Default.TakeNamed(text)
		if !ok {
			return -1, fmt.Errorf("File descriptor named '%s' has not been found", text)
		}
		return fd, nil
	}
	fd, err := strconv.Atoi(text)
	if err != nil {
		return -1, fmt.Errorf("Invalid file descriptor number '%s'", text)
	}
	return fd, nil
}
