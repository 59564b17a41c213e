"""What a stack is rendered for and run by. A package of a target has its rendering, tools and deployment."""
