package uicmd

import (
	"context"

	"goemu/qapi"
)

// QueryDisplayOptions implements qapi.UiCommands.
func (s *Service) QueryDisplayOptions(context.Context) (*qapi.DisplayOptions, error) {
	return &s.Display, nil
}
