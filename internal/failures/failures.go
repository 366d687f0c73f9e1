// Package failures gathers failures that have nothing to do with each other, as those
// of an audit or of checks before a start. The text of the error has a line for each.
//
// An error that follows from another, such as that of a Close, is joined by errors.Join.
package failures

import (
	"strings"

	"github.com/hashicorp/go-multierror"
)

// Of returns an error that holds all that are not nil, and nil where there is none.
func Of(errs ...error) error {
	var all *multierror.Error
	for _, err := range errs {
		if err != nil {
			all = multierror.Append(all, err)
		}
	}
	if all == nil {
		return nil
	}
	all.ErrorFormat = lines
	return all
}

func lines(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}
