// The layout of the structures that are shared with structures.py, as text: both sides write it, and it is compared when
// the library is loaded.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>

#include "activations.hpp"
#include "measure.hpp"

namespace firstlight {

struct Field {
    const char* name;
    std::size_t offset, size;
};

#define FL_AS(name, structure, member) {name, offsetof(structure, member), sizeof(structure::member)}
#define FL_FIELD(structure, member) FL_AS(#member, structure, member)

/// A line for each structure: its name and size, then name:offset:size of its fields.
inline std::string layout() {
    std::string text;
    const auto add = [&text](const char* name, std::size_t size, std::initializer_list<Field> fields) {
        text += std::string(name) + ' ' + std::to_string(size);
        for (const Field& f : fields)
            text += ' ' + std::string(f.name) + ':' + std::to_string(f.offset) + ':' + std::to_string(f.size);
        text += '\n';
    };
    add("Settings", sizeof(Settings),
        {FL_FIELD(Settings, rule), FL_FIELD(Settings, activation), FL_FIELD(Settings, nesterov),
         FL_FIELD(Settings, centered), FL_FIELD(Settings, amsgrad), FL_FIELD(Settings, learned),
         FL_FIELD(Settings, momentum), FL_FIELD(Settings, dampening), FL_FIELD(Settings, beta1),
         FL_FIELD(Settings, beta2), FL_FIELD(Settings, epsilon), FL_FIELD(Settings, weight_decay),
         FL_FIELD(Settings, rate_decay), FL_FIELD(Settings, clip_norm), FL_FIELD(Settings, activation_parameters),
         FL_FIELD(Settings, exact_parameters)});
    add("Between", sizeof(Between),
        {FL_FIELD(Between, norm), FL_FIELD(Between, after), FL_FIELD(Between, factor), FL_FIELD(Between, residual),
         FL_FIELD(Between, learned), FL_FIELD(Between, keep_from), FL_FIELD(Between, enlarge),
         FL_FIELD(Between, epsilon), FL_FIELD(Between, fresh), FL_FIELD(Between, scales), FL_FIELD(Between, slopes),
         FL_FIELD(Between, statistics), FL_FIELD(Between, statistics_size)});
    add("Shape", sizeof(Shape),
        {FL_FIELD(Shape, layers), FL_FIELD(Shape, batch_size), FL_FIELD(Shape, loss), FL_FIELD(Shape, huber_delta),
         FL_FIELD(Shape, widths), FL_FIELD(Shape, offsets), FL_FIELD(Shape, parameters), FL_FIELD(Shape, moments),
         FL_FIELD(Shape, between)});
    add("Rows", sizeof(Rows),
        {FL_FIELD(Rows, count), FL_FIELD(Rows, stride), FL_FIELD(Rows, inputs), FL_FIELD(Rows, targets),
         FL_FIELD(Rows, labels), FL_FIELD(Rows, near)});
    add("Probe", sizeof(Probe),
        {FL_FIELD(Probe, training), FL_FIELD(Probe, validation), FL_FIELD(Probe, gradient_rows),
         FL_FIELD(Probe, signal_rows), FL_FIELD(Probe, signals), FL_FIELD(Probe, dead), FL_FIELD(Probe, gradients),
         FL_FIELD(Probe, edges_count), FL_FIELD(Probe, edges), FL_FIELD(Probe, flat_below),
         FL_FIELD(Probe, healthy)});
    add("Control", sizeof(Control), {FL_FIELD(Control, stop), FL_FIELD(Control, done)});
    add("Sums", sizeof(Sums),
        {FL_FIELD(Sums, loss), FL_FIELD(Sums, absolute), FL_FIELD(Sums, squared), FL_FIELD(Sums, correct),
         FL_FIELD(Sums, lowest), FL_FIELD(Sums, highest)});
    add("LayerNumbers", sizeof(LayerNumbers),
        {FL_AS("pre_activation_mean", LayerNumbers, pre.mean),
         FL_AS("pre_activation_variance", LayerNumbers, pre.variance),
         FL_AS("activation_mean", LayerNumbers, post.mean), FL_AS("activation_variance", LayerNumbers, post.variance),
         FL_FIELD(LayerNumbers, gradient_norm), FL_FIELD(LayerNumbers, gradient_variance),
         FL_FIELD(LayerNumbers, backward_second_moment), FL_FIELD(LayerNumbers, flat), FL_FIELD(LayerNumbers, dead),
         FL_FIELD(LayerNumbers, counts)});
    text += "activations";
    for (const NamedActivation& activation : kActivations) text += ' ' + std::string(activation.name);
    return text + '\n';
}

#undef FL_FIELD
#undef FL_AS

}  // namespace firstlight
