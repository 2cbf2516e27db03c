// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/embedded-user-operator/embedded-user-operator/api/v1alpha1"
)

const (
	batchResource = "embeddeduserbatches"
	sliceResource = "embeddeduserslices"

	// tableType requests only the columns that kubectl prints, which are short even for a batch of 10,000 users.
	tableType = "application/json;as=Table;v=v1;g=meta.k8s.io"

	// patience bounds a case.
	patience = 25 * time.Minute
	// reportInterval is the interval between two progress reports.
	reportInterval = 5 * time.Second
)

func collection(namespace, resource string) []string {
	return []string{"/apis", v1alpha1.SchemeGroupVersion.Group, v1alpha1.SchemeGroupVersion.Version, "namespaces", namespace, resource}
}

// create creates a batch. It fails if the batch has an unknown field.
func (w *world) create(ctx context.Context, namespace string, body []byte) error {
	err := w.rest.Post().AbsPath(collection(namespace, batchResource)...).Param("fieldValidation", "Strict").
		SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("creating the batch: %w", err)
	}
	return nil
}

// row is the row of a batch in `kubectl get eub`.
type row struct {
	name, ready, message                string
	created, existing, invalid, pending int
}

func (r row) done(users int) bool {
	return r.ready == string(metav1.ConditionTrue) && r.created+r.existing == users && r.invalid == 0 && r.pending == 0
}

func (r row) String() string {
	return fmt.Sprintf("Ready %q, %d created, %d existing, %d invalid, %d pending: %s",
		r.ready, r.created, r.existing, r.invalid, r.pending, r.message)
}

// rows converts a Table. columns keeps the column definitions between calls, because only the first Table of a watch has them.
func rows(table metav1.Table, columns *[]metav1.TableColumnDefinition) []row {
	if len(table.ColumnDefinitions) > 0 {
		*columns = table.ColumnDefinitions
	}
	rows := make([]row, len(table.Rows))
	for i := range rows {
		cells := make(map[string]any, len(*columns))
		for j, cell := range table.Rows[i].Cells {
			cells[(*columns)[j].Name] = cell
		}
		text := func(column string) string { text, _ := cells[column].(string); return text }
		number := func(column string) int { number, _ := cells[column].(float64); return int(number) }
		rows[i] = row{
			name: text("Name"), ready: text("Ready"), message: text("Message"),
			created: number("Created"), existing: number("Existing"), invalid: number("Invalid"), pending: number("Pending"),
		}
	}
	return rows
}

// watch calls seen with each row of a namespace, and again whenever a row changes, until seen returns true. An empty name watches
// all batches. A watch costs the API server much less than polling.
func (w *world) watch(ctx context.Context, namespace, name string, seen func(row) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		done, err := w.watchOnce(ctx, namespace, name, seen)
		if done {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx) //nolint:wrapcheck // the callers say what they waited for
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
}

// watchOnce watches until seen returns true or the API server ends the watch.
func (w *world) watchOnce(ctx context.Context, namespace, name string, seen func(row) bool) (bool, error) {
	request := w.rest.Get().AbsPath(collection(namespace, batchResource)...).SetHeader("Accept", tableType).
		Param("includeObject", "None").Param("resourceVersion", "0").Param("watch", "true")
	if name != "" {
		request = request.Param("fieldSelector", "metadata.name="+name)
	}
	stream, err := request.Stream(ctx)
	if err != nil {
		return false, fmt.Errorf("watching batches: %w", err)
	}
	defer stream.Close() //nolint:errcheck // only read
	var columns []metav1.TableColumnDefinition
	for decoder := json.NewDecoder(stream); ; {
		var event struct {
			Type   string `json:"type"`
			Object struct {
				metav1.Table
				Message string `json:"message"` // of an error
			} `json:"object"`
		}
		if err := decoder.Decode(&event); err != nil {
			return false, fmt.Errorf("watching batches: %w", err)
		}
		if event.Type == "ERROR" {
			return false, fmt.Errorf("watching batches: %s", event.Object.Message)
		}
		for _, r := range rows(event.Object.Table, &columns) {
			if seen(r) {
				return true, nil
			}
		}
	}
}
