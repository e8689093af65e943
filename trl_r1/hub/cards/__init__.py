"""Cards of models and data sets: text made from records, and nothing without one."""

from trl_r1.hub.cards.dataset_card import create_dataset_card, create_dataset_cards
from trl_r1.hub.cards.model_card import create_model_card, create_model_cards


__all__ = ["create_dataset_card", "create_dataset_cards", "create_model_card", "create_model_cards"]
