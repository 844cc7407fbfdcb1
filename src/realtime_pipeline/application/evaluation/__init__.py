"""How well recommendations predict what customers do next: a model learns from past visits, and is asked for lists."""
